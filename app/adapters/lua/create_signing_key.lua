-- Adds a signing key to its account unless the account has enough live ones, or the id is taken.
--
-- KEYS[1]  hash: the key's record               KEYS[2]  set: ids of the account's live keys
-- KEYS[3]  set: ids of all its keys             KEYS[4]  set: ids of all keys
-- ARGV     most live keys, id, then the record's fields and values
-- Returns  1, or 0 where it has enough live keys
local most, id = tonumber(ARGV[1]), ARGV[2]
if redis.call('SCARD', KEYS[2]) >= most or redis.call('EXISTS', KEYS[1]) == 1 then
    return 0
end
redis.call('HSET', KEYS[1], unpack(ARGV, 3))
redis.call('SADD', KEYS[2], id)
redis.call('SADD', KEYS[3], id)
redis.call('SADD', KEYS[4], id)
return 1
