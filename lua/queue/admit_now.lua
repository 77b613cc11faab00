#!lua flags=allow-oom
-- Admits the next in line by an operator's hand: within the free visits and what the stock needs, without waiting for the
-- rate, also while paused.
--
-- KEYS[1] hash: the room's settings and counters
-- KEYS[2] zset: waiting, userId → number
-- KEYS[3] zset: present, userId → until when it counts as present, ms
-- KEYS[4] zset: aside, userId → number
-- KEYS[5] zset: grace, userId or attempt → when its kept place is given up, ms
-- KEYS[6] zset: recalled, userId → number: back at an earlier place that the positions of others do not count
-- KEYS[7] hash: visits, userId → number and how far the visit is
-- KEYS[8] zset: active, userId → end of visit, ms
-- KEYS[9] zset: idle, userId → when the visit ends if nothing more is heard, ms
-- KEYS[10] zset: phones, userId → until when it is remembered that it came by phone, ms
-- ARGV[1] incarnation
-- ARGV[2] how many to admit at most
--
-- Answers: 'lost'; 'shut' (closed, before its opening, or recovering); 'admitted' admitted now, set aside now.
-- Cost: O(log n) for each admitted or set aside; looks at no more than 1,000 a call.

local room, waiting, present, aside, grace, recalled = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local visits, active, idle, phones, most = KEYS[7], KEYS[8], KEYS[9], KEYS[10], tonumber(ARGV[2])
local LOOK_AT_MOST = 1000

local told = redis.call('HMGET', room, 'incarnation', 'state', 'capacity', 'claimMs', 'visitMs', 'graceMs', 'admitFrom',
  'opensAt', 'closesAt', 'stockVisits', 'advisedUntil', 'phoneGraceMs')
if told[1] ~= ARGV[1] then
  return {'lost'}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if told[2] == 'closed' or now < math.max(told[7], told[8]) or now >= tonumber(told[9]) then
  return {'shut'}
end
local function head(line)
  local first = redis.call('ZRANGE', line, 0, 0, 'WITHSCORES')
  return first[1], first[2]
end
local admitted, passed = 0, 0
local needed = now < tonumber(told[11] or 0) and told[10] or told[3]
most = math.min(most, math.min(told[3], needed) - redis.call('ZCARD', active))
while admitted < most and admitted + passed < LOOK_AT_MOST do
  local line, user, number = waiting, head(waiting)
  local back, older = head(recalled)
  local again = back and (not user or tonumber(older) < tonumber(number))
  if again then
    line, user, number = recalled, back, older
  end
  if not user then break end
  if tonumber(redis.call('ZSCORE', present, user) or 0) >= now then
    redis.call('HSET', visits, user, number .. (again and ' again' or ' offered'))
    redis.call('ZADD', idle, now + tonumber(told[4]), user)
    redis.call('ZADD', active, now + tonumber(told[5]), user)
    admitted = admitted + 1
  else
    redis.call('ZADD', grace, now + tonumber(redis.call('ZSCORE', phones, user) and told[12] or told[6]), user)
    if again then
      redis.call('HSET', visits, user, number .. ' missed')
    else
      redis.call('ZADD', aside, number, user)
    end
    passed = passed + 1
  end
  redis.call('ZREM', present, user)
  redis.call('ZREM', line, user)
end
redis.call('HINCRBY', room, 'admitted', admitted)
redis.call('HINCRBY', room, 'passedOver', passed)
return {'admitted', admitted, passed}
