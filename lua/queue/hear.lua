#!lua flags=allow-oom
-- Notes that those who listen are here, and says who of them is in line and who is inside.
--
-- KEYS[1] hash: the room's settings and counters
-- KEYS[2] zset: waiting, userId → number
-- KEYS[3] zset: present, userId → until when it counts as present, ms
-- KEYS[4] zset: active, userId → end of visit, ms
-- ARGV[1] incarnation
-- ARGV[2] for how long they count as present, ms
-- ARGV[3..] userIds
--
-- Answers: 'lost'; 'heard' for each in order the number in line or '', for each in order the end of the visit or ''.
-- Cost: O(log n) in the line for each, in the same few commands however many; the caller sends at most 1,000.

local room, waiting, present, active = KEYS[1], KEYS[2], KEYS[3], KEYS[4]

if redis.call('HGET', room, 'incarnation') ~= ARGV[1] then
  return {'lost'}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local numbers = redis.call('ZMSCORE', waiting, unpack(ARGV, 3))
local ends = redis.call('ZMSCORE', active, unpack(ARGV, 3))
local here = {}
for i = 1, #ARGV - 2 do
  if numbers[i] then
    here[#here + 1] = now + ARGV[2]
    here[#here + 1] = ARGV[i + 2]
  end
  numbers[i] = numbers[i] or ''
  ends[i] = ends[i] and tonumber(ends[i]) > now and ends[i] or ''
end
if #here > 0 then
  redis.call('ZADD', present, 'GT', unpack(here))
end
return {'heard', numbers, ends}
