-- Ends a job, once: what it came to, when that goes, its webhook, and its place in the lane. Begins with lanes.lua.
--
-- ARGV      job id, lane, token, what it came to, milliseconds to keep it, most of an account in the lanes,
--           content key or '', webhook id or '', milliseconds to keep the webhook,
--           bytes of the source, the name of its kind of work, milliseconds a byte to expect of a kind that nothing is
--           known of, milliseconds that it took or '' where nothing is to be learnt from it
-- Returns   1, or 0 where the claim has gone and nothing was changed
local id, lane, token, outcome, keep_ms, most = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6])
local content, webhook, keep_webhook_ms = ARGV[7], ARGV[8], ARGV[9]
local size, work, prior, took = tonumber(ARGV[10]), ARGV[11], tonumber(ARGV[12]), tonumber(ARGV[13])

local ours, entry = holds(id, token)
if not ours then
    return 0
end
-- The same call again, after its answer was lost.
if not entry then
    return 1
end

local now = now_ms()
local expires = now + keep_ms
redis.call('HSET', record_of(id), 'end', outcome, 'finished', now, 'expires', expires)
redis.call('HDEL', record_of(id), 'entry')
redis.call('PEXPIREAT', record_of(id), expires)
redis.call('ZADD', due_key, expires, id)
if content ~= '' then
    redis.call('SET', root .. 'content:' .. content, id, 'PXAT', expires)
end
leave(lane, entry, most)

if took then
    -- Sums that fade by a tenth a job: their ratio is the recent milliseconds a byte, large files counting for more.
    local rates = root .. 'jobs:rates'
    local sums = redis.call('HMGET', rates, work .. ':ms', work .. ':bytes')
    local bytes = tonumber(sums[2] or 4194304)
    local ms = tonumber(sums[1] or prior * bytes)
    redis.call('HSET', rates, work .. ':ms', 0.9 * ms + took, work .. ':bytes', 0.9 * bytes + size)
end

if webhook ~= '' then
    local index = root .. 'deliveries'
    redis.call('ZREMRANGEBYSCORE', index, '-inf', now)
    redis.call('ZADD', index, now + keep_webhook_ms, webhook)
    redis.call('ZADD', index .. ':due', now, webhook)
    redis.call('HSET', root .. 'delivery:' .. webhook, 'job', redis.call('HGET', record_of(id), 'job'), 'end', outcome,
        'finished', now, 'expires', expires, 'created', now, 'attempts', 0, 'state', 'waiting', 'next_at', now,
        'last_result', '')
    redis.call('PEXPIREAT', root .. 'delivery:' .. webhook, now + keep_webhook_ms)
end
return 1
