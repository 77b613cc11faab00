#!lua flags=no-writes
-- Tells of some seats, at one moment, what keeps others from holding them, and what shows them as not free.
--
-- KEYS[1] zset: held, seat → expiry, ms
-- KEYS[2] hash: sold, seat → reservation
-- KEYS[3..] string: for each seat, its hold: reservation, userId, number of seats
-- ARGV[1..] seats, in the order of their keys
--
-- Answers: for each seat that is not free: the seat; how long its hold lasts, ms, -1 for ever, -2 where it has none;
-- 1 where it is in held, else 0; 1 where it is in sold, else 0.
-- Cost: O(seats · log n): for checks, not for visitors; the caller names at most 250.

local held, sold, FIRST_HOLD, NONE = KEYS[1], KEYS[2], 3, -2

local seen = {}
for i = 1, #ARGV do
  local seat, lasts = ARGV[i], redis.call('PTTL', KEYS[FIRST_HOLD + i - 1])
  local listed, bought = redis.call('ZSCORE', held, seat), redis.call('HEXISTS', sold, seat)
  if lasts ~= NONE or listed or bought == 1 then
    for _, value in ipairs({seat, lasts, listed and 1 or 0, bought}) do
      seen[#seen + 1] = value
    end
  end
end
return seen
