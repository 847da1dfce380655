-- Takes the lead in making a variant, or keeps it, and looks what there is. Begins with variants.lua.
--
-- ARGV      key, who, milliseconds of the lease
-- Returns   {1, or 0 where another leads, record or nil, the place in the log of purges}
local lease, leads = lease_of(ARGV[1]), 0
if redis.call('SET', lease, ARGV[2], 'NX', 'PX', ARGV[3]) then
    leads = 1
elseif redis.call('GET', lease) == ARGV[2] then
    leads = redis.call('PEXPIRE', lease, ARGV[3])
end
return {leads, redis.call('HGET', variant_of(ARGV[1]), 'record'), last_of(purges_key)}
