#!lua
-- Keeps visits from ending before the holds that they made.
--
-- KEYS[1] hash: the room's settings and counters
-- KEYS[2] zset: active, userId → end of visit, ms
-- KEYS[3] zset: idle, userId → when the visit ends if nothing more is heard, ms
-- ARGV[1] incarnation
-- ARGV[2..] pairs of userId and until when its visit must last, ms
--
-- Answers: 'lost'; 'kept'.
-- Cost: O(log n) in the visits for each pair; the caller sends at most 500.

local room, active, idle = KEYS[1], KEYS[2], KEYS[3]

if redis.call('HGET', room, 'incarnation') ~= ARGV[1] then
  return {'lost'}
end
for i = 2, #ARGV, 2 do
  redis.call('ZADD', active, 'XX', 'GT', ARGV[i + 1], ARGV[i])
  redis.call('ZADD', idle, 'XX', 'GT', ARGV[i + 1], ARGV[i])
end
return {'kept'}
