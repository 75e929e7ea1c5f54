"""scikit-learn's 1,797 handwritten digits as a folder of JPEG files."""

from __future__ import annotations

from pathlib import Path

# Part of the folder's name: a change of size, quality or split makes a new folder.
SIZE = 32
JPEG_QUALITY = 95
HELD_OUT_EVERY = 5
# Of 1,797 images in all.
TRAIN_IMAGES = 1437
FOLDER = f"digits-{SIZE}px-q{JPEG_QUALITY}-heldout{HELD_OUT_EVERY}"


def write(folder: Path) -> None:
    """Write the images as ``folder/train|val/<digit>/<number>.jpg``.

    Source: ``sklearn.datasets.load_digits``, the test set of UCI "Optical Recognition of Handwritten Digits" (Alpaydin
    and Kaynak, 1998): 8x8 pixels with 17 gray levels. Image number i is held out when i is a multiple of 5.
    """
    # Imported late: scikit-learn takes a second that only the first run should pay.
    from PIL import Image
    from sklearn.datasets import load_digits

    images, labels, *_ = load_digits(return_X_y=True)
    for number, (pixels, label) in enumerate(zip(images.reshape(-1, 8, 8), labels, strict=True)):
        split = "val" if number % HELD_OUT_EVERY == 0 else "train"
        class_dir = folder / split / str(label)
        class_dir.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray((pixels * (255 / 16)).round().astype("uint8")).convert("RGB")
        image = image.resize((SIZE, SIZE), Image.Resampling.BICUBIC)
        image.save(class_dir / f"{number:04d}.jpg", quality=JPEG_QUALITY)
