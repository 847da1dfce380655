-- Writes to an idempotency key that a request still has: renews it, settles it or, without a lifetime, forgets it.
--
-- KEYS[1]  hash: token of the request that has it, fingerprint, job once it is done
-- ARGV     token, lifetime in milliseconds (0 forgets), then fields and values, maybe none
-- Returns  1, or 0 where the key has gone to another
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then
    return 0
end
if ARGV[2] == '0' then
    redis.call('DEL', KEYS[1])
    return 1
end
if #ARGV > 2 then
    redis.call('HSET', KEYS[1], unpack(ARGV, 3))
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
