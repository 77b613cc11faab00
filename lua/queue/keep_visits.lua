#!lua flags=allow-oom
-- Keeps visits from ending before the holds that were made within their own time, but for holds made before a payment:
-- that ends the visit. What is made while a visit goes on only for a hold prolongs it no more.
--
-- KEYS[1] hash: the room's settings and counters
-- KEYS[2] zset: active, userId → end of visit, ms
-- KEYS[3] zset: idle, userId → when the visit ends if nothing more is heard, ms
-- KEYS[4] zset: paid, userId → when it last paid, ms
-- KEYS[5] hash: visits, userId → number, how far the visit is, and its own end, ms, once it goes on for longer
-- ARGV[1] incarnation
-- ARGV[2..] for each hold: userId, until when its visit must last, ms, and when the hold was made, ms
--
-- Answers: 'lost'; 'kept'.
-- Cost: O(log n) in the visits for each hold; the caller sends at most 500.

local room, active, idle, paid, visits = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]

if redis.call('HGET', room, 'incarnation') ~= ARGV[1] then
  return {'lost'}
end
for i = 2, #ARGV, 3 do
  local user, until_ms, held_at = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2])
  local ends = redis.call('ZSCORE', active, user)
  local number, own = string.match(redis.call('HGET', visits, user) or '', '^(%S+) claimed ?(%S*)')
  own = tonumber(own or '') or tonumber(ends)
  local paid_at = redis.call('ZSCORE', paid, user)
  if number and ends and held_at <= own and not (paid_at and tonumber(paid_at) >= held_at) then
    if tonumber(until_ms) > tonumber(ends) then
      redis.call('HSET', visits, user, string.format('%s claimed %.0f', number, own))
      redis.call('ZADD', active, until_ms, user)
    end
    redis.call('ZADD', idle, 'XX', 'GT', until_ms, user)
  end
end
return {'kept'}
