<?php
// Sign the URL of a picture: `php sign.php f:auto,w:800 https://img.example.com/a.jpg`, with CDN_URL, CDN_KEY and
// CDN_SECRET.

/** Return the URL under which $base answers with $source, made as $options tell. */
function sign(string $base, string $keyId, string $secret, string $options, string $source): string
{
    $signed = $options . '/' . rawurlencode($source);
    $digest = hash_hmac('sha256', $signed, $secret, true);
    $signature = rtrim(strtr(base64_encode($digest), '+/', '-_'), '=');
    return "$base/cdn/$keyId.$signature/$signed";
}

echo sign(getenv('CDN_URL'), getenv('CDN_KEY'), getenv('CDN_SECRET'), $argv[1], $argv[2]), "\n";
