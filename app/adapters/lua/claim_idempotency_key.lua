-- Takes an idempotency key for a request, or tells who has it. One call is one atomic decision.
--
-- KEYS[1]  hash: token of the request that has it, fingerprint, job once it is done
-- ARGV     token, lease in milliseconds
-- Returns  {1} where it is taken now; else {0, fingerprint, job}, empty where not known
if redis.call('EXISTS', KEYS[1]) == 0 then
    redis.call('HSET', KEYS[1], 'token', ARGV[1])
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
    return {1}
end
local found = redis.call('HMGET', KEYS[1], 'fingerprint', 'job')
return {0, found[1] or '', found[2] or ''}
