"""Who asks for pictures, and what they send as `Accept` where they want one."""

from typing import Final

#: MDN, "List of default Accept values".
ACCEPTS: Final = {
    "Chrome 131": "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8",
    "Firefox 133": "image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5",
    "Safari 18": "image/webp,image/avif,image/jxl,image/heic,image/heic-sequence,video/*;q=0.8,image/png,"
    "image/svg+xml,image/*;q=0.8,*/*;q=0.5",
    "Safari 13": "image/png,image/svg+xml,image/*;q=0.8,video/*;q=0.8,*/*;q=0.5",
    "Firefox 60": "*/*",
}
#: Proxies that show pictures of others, such as camo, do not tell what the browser behind them shows.
_PROXY: Final = "image/*"
#: Of a hundred requests, those with each `Accept`: about what browsers' shares were in 2025, and a few proxies.
SHARES: Final = {
    ACCEPTS["Chrome 131"]: 64,
    ACCEPTS["Safari 18"]: 22,
    ACCEPTS["Firefox 133"]: 4,
    ACCEPTS["Safari 13"]: 3,
    ACCEPTS["Firefox 60"]: 2,
    _PROXY: 5,
}
