#!lua flags=allow-oom
-- Sweeps holds that are over, and tells which seats are held and which are sold, as far as the caller cannot know it.
--
-- KEYS[1] hash: meta, the schedule's incarnation and version
-- KEYS[2] zset: held, seat → expiry, ms
-- KEYS[3] hash: sold, seat → reservation
-- KEYS[4] list: sales, seats in the order in which they were sold
-- ARGV[1] incarnation
-- ARGV[2] the version that the caller knows, '' for none
-- ARGV[3] how many seats the caller knows to be sold in this incarnation, '' for none
--
-- Answers: 'lost'; 'same' holds swept; 'held' holds swept, version, then the list of seats held (no more are sold than
-- the caller knows, and what is sold stays so); 'more' the same, and the list of seats sold that the caller does not know;
-- 'changed' the same, and the list of all seats sold.
-- Cost: O(1) when nothing changed, O(held + newly sold) for who knows the others, else O(held + sold); sweeps at most 1,000.

local meta, held, sold, sales = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
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
local known, count, now_held = tonumber(ARGV[3]), redis.call('HLEN', sold), redis.call('ZRANGE', held, 0, -1)
if known == count then
  return {'held', #over, version, now_held}
end
-- Where the list is not of the same seats, as after a loss, all of them are told.
if known and known < count and redis.call('LLEN', sales) == count then
  return {'more', #over, version, now_held, redis.call('LRANGE', sales, known, -1)}
end
return {'changed', #over, version, now_held, redis.call('HKEYS', sold)}
