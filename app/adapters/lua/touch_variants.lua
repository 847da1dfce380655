-- Notes that variants are used. Begins with variants.lua.
--
-- ARGV      keys
local now = now_ms()
for _, key in ipairs(ARGV) do
    redis.call('ZADD', used_key, 'XX', now, key)
end
