#!lua flags=allow-oom
-- Sweeps holds that are over, and tells which seats are held and which are sold, as far as the caller cannot know it.
--
-- KEYS[1] hash: meta, the schedule's incarnation and version
-- KEYS[2] zset: held, seat → expiry, ms
-- KEYS[3] hash: sold, seat → reservation
-- ARGV[1] incarnation
-- ARGV[2] the version that the caller knows, '' for none
-- ARGV[3] how many seats the caller knows to be sold in this incarnation, '' for none
--
-- Answers: 'lost'; 'same' holds swept; 'held' holds swept, version, then the list of seats held (no more are sold than
-- the caller knows, and what is sold stays so); 'changed' holds swept, version, then the list of seats held and the
-- list of seats sold.
-- Cost: O(1) when nothing changed, O(held) when nothing was sold, else O(held + sold); sweeps at most 1,000.

local meta, held, sold = KEYS[1], KEYS[2], KEYS[3]
local SWEEP_AT_MOST = 1000

local told = redis.call('HMGET', meta, 'incarnation', 'version')
if told[1] ~= ARGV[1] then
  return {'lost'}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local over = redis.call('ZRANGEBYSCORE', held, '-inf', now, 'LIMIT', 0, SWEEP_AT_MOST)
local version = told[2]
if #over > 0 then
  redis.call('ZREM', held, unpack(over))
  version = string.format('%.0f', redis.call('HINCRBY', meta, 'version', 1))
end
if version == ARGV[2] then
  return {'same', #over}
end
if redis.call('HLEN', sold) == tonumber(ARGV[3]) then
  return {'held', #over, version, redis.call('ZRANGE', held, 0, -1)}
end
return {'changed', #over, version, redis.call('ZRANGE', held, 0, -1), redis.call('HKEYS', sold)}
