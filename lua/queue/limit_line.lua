#!lua flags=allow-oom
-- Limits the line to what Redis' memory holds beside all else that is in it.
--
-- KEYS[1] hash: the room's settings and counters
-- KEYS[2] zset: waiting, userId → number
-- KEYS[3] zset: aside, userId → number
-- KEYS[4] zset: pending, login attempt → number
-- ARGV[1] incarnation
-- ARGV[2] the longest line that there may be however much memory is free
--
-- Answers: 'lost'; 'limited' how many may be in line.
-- Cost: O(1), and that of INFO.

local room, waiting, aside, pending = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
-- What one in line takes in all its keys, measured, and half as much again; and what of the memory is left for other things.
local BYTES_EACH, SHARE = 600, 0.9

if redis.call('HGET', room, 'incarnation') ~= ARGV[1] then
  return {'lost'}
end
local memory = redis.call('INFO', 'memory')
local function bytes(name)
  return tonumber(string.match(memory, '\n' .. name .. ':(%d+)') or 0)
end
local most = bytes('maxmemory')
if most == 0 then -- no limit of its own: half of the machine's, which others need too
  most = bytes('total_system_memory') / 2
end
local free = math.max(0, most * SHARE - bytes('used_memory'))
local in_line = redis.call('ZCARD', waiting) + redis.call('ZCARD', aside) + redis.call('ZCARD', pending)
local limit = string.format('%.0f', math.min(tonumber(ARGV[2]), in_line + math.floor(free / BYTES_EACH)))
redis.call('HSET', room, 'queueLimit', limit)
return {'limited', limit}
