"""One rank; torch and Composer live here."""
