#!lua flags=no-writes
-- Looks at the head of the line and at who was let in since the last look, so that the order can be judged from outside.
--
-- KEYS[1] hash: the room's settings and counters
-- KEYS[2] zset: waiting, userId → number
-- KEYS[3] zset: present, userId → until when it counts as present, ms
-- KEYS[4] zset: recalled, userId → number: back at an earlier place that the positions of others do not count
-- KEYS[5] hash: visits, userId → number and how far the visit is
-- KEYS[6] zset: idle, userId → when the visit ends if nothing more is heard, ms
-- ARGV[1] incarnation
-- ARGV[2] when the last look was, ms; 0 for none
-- ARGV[3] how many to look at of each
--
-- Answers: 'lost'; 'seen' now, the claim time, the numbers of those let in since the last look who have claimed nothing yet, and of those
-- at the head who are present: userId, number, until when.
-- Cost: O(log n) for each looked at. Writes nothing.

local room, waiting, present, recalled, visits, idle = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local since, most = tonumber(ARGV[2]), tonumber(ARGV[3])

local told = redis.call('HMGET', room, 'incarnation', 'claimMs')
if told[1] ~= ARGV[1] then
  return {'lost'}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local numbers, here = {}, {}
if since > 0 then
  -- Until it is claimed, a visit's idle end is its beginning and the claim time.
  local from = string.format('(%.0f', since + told[2])
  for _, user in ipairs(redis.call('ZRANGEBYSCORE', idle, from, '+inf', 'LIMIT', 0, most)) do
    local number, phase = string.match(redis.call('HGET', visits, user) or '', '^(%S+) (%S+)')
    if phase == 'offered' or phase == 'again' then
      numbers[#numbers + 1] = number
    end
  end
end
for _, line in ipairs({recalled, waiting}) do
  local head = redis.call('ZRANGE', line, 0, most - 1, 'WITHSCORES')
  for i = 1, #head, 2 do
    local till = tonumber(redis.call('ZSCORE', present, head[i]) or 0)
    if till >= now then
      for _, value in ipairs({head[i], head[i + 1], string.format('%.0f', till)}) do
        here[#here + 1] = value
      end
    end
  end
end
return {'seen', string.format('%.0f', now), told[2], numbers, here}
