"""The peer's server. It runs in an environment of its own, where FastAPI is, and where this project is not."""

from io import BytesIO
from typing import Annotated

# The project's own environment, where this file is checked, has no FastAPI.
from fastapi import FastAPI, Form, Response, UploadFile  # type: ignore[import-not-found]
from PIL import Image, ImageOps


def compress(
    file: UploadFile,
    format: Annotated[str, Form()],  # noqa: A002 - the name of the form's field
    quality: Annotated[int, Form()],
    box: Annotated[int | None, Form()] = None,
) -> Response:
    """Answer with the picture, encoded anew."""
    image: Image.Image = Image.open(file.file)
    if box:
        # Decodes at a fraction of the size where the format can.
        image.thumbnail((box, box), reducing_gap=2.0)
    image = ImageOps.exif_transpose(image).convert("RGB")
    made = BytesIO()
    image.save(made, format, quality=quality)
    return Response(made.getvalue(), media_type=f"image/{format}")


app = FastAPI()
app.post("/")(compress)
