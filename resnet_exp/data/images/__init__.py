"""Images on the disk: folders of classes, files, and what tells two data sets apart."""
