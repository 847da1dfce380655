# Sign the URL of a picture: `ruby sign.rb f:auto,w:800 https://img.example.com/a.jpg`, with CDN_URL, CDN_KEY and
# CDN_SECRET.
require "erb"
require "openssl"

# Return the URL under which `base` answers with `source`, made as `options` tell.
def sign(base, key_id, secret, options, source)
  signed = "#{options}/#{ERB::Util.url_encode(source)}"
  signature = [OpenSSL::HMAC.digest("SHA256", secret, signed)].pack("m0").tr("+/", "-_").delete("=")
  "#{base}/cdn/#{key_id}.#{signature}/#{signed}"
end

puts sign(ENV.fetch("CDN_URL"), ENV.fetch("CDN_KEY"), ENV.fetch("CDN_SECRET"), *ARGV)
