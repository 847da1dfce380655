-- Adds a key to its account unless the account has enough live ones. The account's webhook secret is made once.
--
-- KEYS[1]  hash: the key's record          KEYS[2]  set: digests of the account's live keys
-- KEYS[3]  set: digests of all its keys    KEYS[4]  string: its webhook secret
-- KEYS[5]  hash of all keys: id -> digest
-- ARGV     most live keys, digest, id, a secret in case the account has none, then the record's fields and values
-- Returns  the account's webhook secret, or nil where it has enough live keys
local most, digest, id, secret = tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4]
if redis.call('SCARD', KEYS[2]) >= most then
    return nil
end
redis.call('HSET', KEYS[1], unpack(ARGV, 5))
redis.call('SADD', KEYS[2], digest)
redis.call('SADD', KEYS[3], digest)
redis.call('SET', KEYS[4], secret, 'NX')
redis.call('HSET', KEYS[5], id, digest)
return redis.call('GET', KEYS[4])
