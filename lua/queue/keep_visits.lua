#!lua flags=allow-oom
-- Keeps visits from ending before the holds that they made, but for holds made before a payment: that ends the visit.
--
-- KEYS[1] hash: the room's settings and counters
-- KEYS[2] zset: active, userId → end of visit, ms
-- KEYS[3] zset: idle, userId → when the visit ends if nothing more is heard, ms
-- KEYS[4] zset: paid, userId → when it last paid, ms
-- ARGV[1] incarnation
-- ARGV[2..] pairs of userId and until when its visit must last, ms
--
-- Answers: 'lost'; 'kept'.
-- Cost: O(log n) in the visits for each pair; the caller sends at most 500.

local room, active, idle, paid = KEYS[1], KEYS[2], KEYS[3], KEYS[4]

local told = redis.call('HMGET', room, 'incarnation', 'holdMs')
if told[1] ~= ARGV[1] then
  return {'lost'}
end
for i = 2, #ARGV, 2 do
  local paid_at = redis.call('ZSCORE', paid, ARGV[i])
  if not paid_at or tonumber(paid_at) < ARGV[i + 1] - told[2] then
    redis.call('ZADD', active, 'XX', 'GT', ARGV[i + 1], ARGV[i])
    redis.call('ZADD', idle, 'XX', 'GT', ARGV[i + 1], ARGV[i])
  end
end
return {'kept'}
