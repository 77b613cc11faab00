#!lua flags=allow-oom
-- Admits the next in line within every limit, sets those aside who are absent at their turn, and counts.
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
-- KEYS[10] zset: pending, login attempt → number
-- KEYS[11] zset: phones, userId → until when it is remembered that it came by phone, ms
-- ARGV[1] incarnation
-- ARGV[2] how many to admit at most
--
-- Answers: 'lost'; 'held' (not open, or recovering); 'admitted'. The last two with: admitted now, set aside now,
-- active, waiting, aside, pending, recalled, the room's hash.
-- Cost: O(log n) for each admitted or set aside; looks at no more than 1,000 a call.

local room, waiting, present, aside, grace, recalled = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local visits, active, idle, pending, phones = KEYS[7], KEYS[8], KEYS[9], KEYS[10], KEYS[11]
local LOOK_AT_MOST, CHUNK, STOPPED_MS = 1000, 100, 5000

local told = redis.call('HMGET', room, 'incarnation', 'state', 'capacity', 'admitPerSecond', 'bucket', 'bucketAt',
  'admitFrom', 'claimMs', 'visitMs', 'graceMs', 'opensAt', 'closesAt', 'stockVisits', 'loadRate', 'advisedUntil',
  'phoneGraceMs', 'ranAt')
if told[1] ~= ARGV[1] then return {'lost'} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local open = (told[2] == 'open' or told[2] == 'draining') and now >= math.max(told[7], told[11])
  and now < tonumber(told[12]) and now - (told[17] or now) <= STOPPED_MS -- not late, after nobody was heard
local admitted, passed = 0, 0
local function take(line, most)
  local chosen = redis.call('ZRANGE', line, 0, math.min(CHUNK, most) - 1, 'WITHSCORES')
  for i = 1, #chosen, 2 do
    local user, number, again = chosen[i], chosen[i + 1], line == recalled
    if tonumber(redis.call('ZSCORE', present, user) or 0) >= now then
      redis.call('HSET', visits, user, number .. (again and ' again' or ' offered'))
      redis.call('ZADD', idle, now + tonumber(told[8]), user)
      redis.call('ZADD', active, now + tonumber(told[9]), user)
      admitted = admitted + 1
    else
      redis.call('ZADD', grace, now + tonumber(redis.call('ZSCORE', phones, user) and told[16] or told[10]), user)
      if again then
        redis.call('HSET', visits, user, number .. ' missed')
      else
        redis.call('ZADD', aside, number, user)
      end
      passed = passed + 1
    end
    for _, place in ipairs({present, line}) do redis.call('ZREM', place, user) end
  end
end
local function head(line) return tonumber(redis.call('ZRANGE', line, 0, 0, 'WITHSCORES')[2] or math.huge) end

if open then
  local advised = now < tonumber(told[15] or 0)
  local rate = math.min(told[4], advised and told[14] or told[4])
  local bucket = math.min(rate > 0 and math.max(rate, 1) or 0, told[5] + math.max(0, now - told[6]) * rate / 1000)
  local free = math.min(told[3], advised and told[13] or told[3]) - redis.call('ZCARD', active)
  local most = math.floor(math.min(free, bucket, tonumber(ARGV[2])))
  while admitted < most and admitted + passed < LOOK_AT_MOST do
    local back, next = head(recalled), head(waiting)
    if math.min(back, next) == math.huge then break end
    take(back < next and recalled or waiting, back < math.huge and 1 or most - admitted)
  end
  -- What nobody could use is not kept, or the end of an empty line would be a rush.
  local cut = admitted + passed >= LOOK_AT_MOST or admitted == tonumber(ARGV[2])
  bucket = math.min(bucket - admitted, cut and math.huge or 1)
  redis.call('HSET', room, 'bucket', string.format('%.6f', bucket), 'bucketAt', string.format('%.0f', now))
  redis.call('HINCRBY', room, 'admitted', admitted)
  redis.call('HINCRBY', room, 'passedOver', passed)
  if admitted > 0 and redis.call('ZCARD', active) > tonumber(told[3]) then
    redis.call('HINCRBY', room, 'overAdmitted', 1) -- never: the invariants look at it
  end
end
return {open and 'admitted' or 'held', admitted, passed, redis.call('ZCARD', active), redis.call('ZCARD', waiting),
  redis.call('ZCARD', aside), redis.call('ZCARD', pending), redis.call('ZCARD', recalled), redis.call('HGETALL', room)}
