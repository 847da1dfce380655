-- Notes when a blob goes that is about to be written. Begins with variants.lua.
--
-- ARGV      blob, milliseconds from now
redis.call('ZADD', due_key, now_ms() + ARGV[2], ARGV[1])
