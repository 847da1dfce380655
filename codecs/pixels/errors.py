"""What can be wrong with an image. These errors know no HTTP status: `app/errors.py` maps them."""


class PixelsError(Exception):
    """Base of every error that `pixels` raises on purpose; its text is fit for a customer."""


class UnsupportedFormat(PixelsError):
    """The bytes are no JPEG, PNG, WebP or AVIF, or hold a sequence that the asked format cannot hold."""


class ImageTooLarge(PixelsError):
    """More pixels or frames than the limits allow, by the header, before anything is decoded."""


class DecodeFailed(PixelsError):
    """A supported type whose bytes are broken or cut."""


class EncodeFailed(PixelsError):
    """The encoder refused a picture that decoded well: our fault, not the customer's."""
