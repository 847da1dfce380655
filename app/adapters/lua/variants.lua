-- What the scripts of the variants have in common; their text follows this one.
--
-- KEYS[1]   `{cz}:cdn:`, with which all names begin. Most depend on what a script finds, so they are made here; KEYS[1]
--           leads to the hash slot that they share.
-- string    bytes: what all variants count for        lease:KEY: who makes the variant
-- hash      variant:KEY: record, account, source, tags (space between), blob, cost
-- set       tag:ACCOUNT:TAG of keys
-- sorted    used: key by when it was last used        due: blob by when it goes, Unix milliseconds
--           sources:ACCOUNT: source, NUL, key, in the order of bytes
-- stream    purges: account, by, value                ended: key
local root = KEYS[1]
local bytes_key, used_key, due_key = root .. 'bytes', root .. 'used', root .. 'due'
local purges_key, ended_key = root .. 'purges', root .. 'ended'
local most_purges, most_ended = 1000, 1000

local function variant_of(key)
    return root .. 'variant:' .. key
end

local function sources_of(account)
    return root .. 'sources:' .. account
end

local function tag_of(account, tag)
    return root .. 'tag:' .. account .. ':' .. tag
end

local function lease_of(key)
    return root .. 'lease:' .. key
end

local function now_ms()
    local time = redis.call('TIME')
    return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Takes a variant out of the index; its blob goes after the grace, unless it is the one that stays.
local function drop(key, grace_ms, staying)
    local found = redis.call('HMGET', variant_of(key), 'account', 'source', 'tags', 'blob', 'cost')
    local account, source, tags, blob, cost = found[1], found[2], found[3], found[4], found[5]
    redis.call('ZREM', used_key, key)
    if not account then
        return
    end
    redis.call('DEL', variant_of(key))
    redis.call('ZREM', sources_of(account), source .. '\0' .. key)
    for tag in string.gmatch(tags, '%S+') do
        redis.call('SREM', tag_of(account, tag), key)
    end
    redis.call('DECRBY', bytes_key, cost)
    if blob ~= '' and blob ~= staying then
        redis.call('ZADD', due_key, now_ms() + grace_ms, blob)
    end
end

local function tell_end(key)
    redis.call('XADD', ended_key, 'MAXLEN', '~', most_ended, '*', 'key', key)
end

-- The place in the log of purges that stands for now.
local function last_of(stream)
    local last = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
    return last and last[1] or '0-0'
end
