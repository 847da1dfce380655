// Sign the URL of a picture: `go run sign.go f:auto,w:800 https://img.example.com/a.jpg`, with CDN_URL, CDN_KEY and
// CDN_SECRET.
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/url"
	"os"
	"strings"
)

// sign returns the URL under which base answers with source, made as options tell.
func sign(base, keyID, secret, options, source string) string {
	signed := options + "/" + strings.ReplaceAll(url.QueryEscape(source), "+", "%20")
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(signed))
	signature := base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	return fmt.Sprintf("%s/cdn/%s.%s/%s", base, keyID, signature, signed)
}

func main() {
	fmt.Println(sign(os.Getenv("CDN_URL"), os.Getenv("CDN_KEY"), os.Getenv("CDN_SECRET"), os.Args[1], os.Args[2]))
}
