#!lua flags=allow-oom
-- Takes an account that is neither waiting nor active back to its old place, if it still has one.
--
-- KEYS[1] hash: the room's settings and counters
-- KEYS[2] zset: waiting, userId → number
-- KEYS[3] zset: present, userId → until when it counts as present, ms
-- KEYS[4] zset: aside, userId → number
-- KEYS[5] zset: grace, userId or attempt → when its kept place is given up, ms
-- KEYS[6] zset: recalled, userId → number: back at an earlier place that the positions of others do not count
-- KEYS[7] hash: visits, userId → number and how far the visit is
-- KEYS[8] zset: left, userId → when it left, ms
-- KEYS[9] zset: returned, userId → when it came back with an earlier epoch's number, or ended, ms
-- KEYS[10] zset: paid, userId → when it last paid, ms
-- KEYS[11] zset: active, userId → end of visit, ms
-- KEYS[12] zset: pending, login attempt → number
-- KEYS[13] zset: drawn, userId → number: who joined while the room drew
-- ARGV[1] incarnation
-- ARGV[2] userId
-- ARGV[3] epoch of the number that the account shows, 0 for none
-- ARGV[4] the number that the account shows, 0 for none
-- ARGV[5] since when it has that number at most, ms
--
-- Answers: 'lost'; 'back' number (it is in line, or inside); 'left'; 'gone'; 'recalled' number, position (0 while the
-- room recovers), in line in all.
-- Cost: O(log n) in the line.

local room, waiting, present, aside, grace, recalled = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local visits, left, returned, paid, active, pending = KEYS[7], KEYS[8], KEYS[9], KEYS[10], KEYS[11], KEYS[12]
local drawn, user, number, HERE_MS = KEYS[13], ARGV[2], ARGV[4], 13000

local told = redis.call('HMGET', room, 'incarnation', 'epoch', 'recoverUntil')
if told[1] ~= ARGV[1] then return {'lost'} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local recovering = now < tonumber(told[3])
local kept, ends = redis.call('ZSCORE', aside, user), redis.call('ZSCORE', active, user)
local has, phase, shown = string.match(redis.call('HGET', visits, user) or '', '^(%S+) (%S+) ?(%S*)')
local stands = redis.call('ZSCORE', waiting, user) or ends and tonumber(ends) > now and has
local function since(line)
  return tonumber(redis.call('ZSCORE', line, user) or -1) >= tonumber(ARGV[5])
end
local earlier = tonumber(ARGV[3]) > 0 and tonumber(ARGV[3]) < tonumber(told[2]) and tonumber(number) ~= 0
local older = earlier and not since(returned) and not since(paid)
if stands then -- another request was faster; whoever logged in again while the room recovers has the smaller number
  local first = older and recovering and not ends and tonumber(number) < tonumber(stands)
  if first then redis.call('ZADD', waiting, number, user) end
  return {'back', first and number or stands}
end
if not kept and not has then
  -- Of who left and joined again, a loss may have kept the leaving alone.
  if redis.call('ZSCORE', left, user) and not (earlier and not since(left)) then return {'left'} end
  if not older then return {'gone'} end
  redis.call('ZREM', left, user)
  redis.call('ZADD', returned, now, user)
  redis.call('HINCRBY', room, 'joined', 1)
  if tonumber(number) < 0 then redis.call('ZADD', drawn, number, user) end
elseif ends then -- a visit that is over and not yet swept
  return {'gone'}
end

redis.call('ZADD', present, now + HERE_MS, user)
if kept or not has and recovering then
  redis.call('ZADD', waiting, kept or number, user)
  redis.call('ZREM', grace, user)
  redis.call('ZREM', aside, user)
  return {'back', kept or number}
end
-- Who missed a visit, or comes late to a room that was set up again, lets nobody's position grow.
number = has or number
local position, in_line, before = 1 + redis.call('ZCOUNT', recalled, '-inf', '(' .. number), 0, '(' .. number
for _, line in ipairs({waiting, aside, pending}) do
  position = position + redis.call('ZCOUNT', line, '-inf', before)
  in_line = in_line + redis.call('ZCARD', line)
end
position = math.min(position, phase == 'recalled' and tonumber(shown) or position)
redis.call('HSET', visits, user, number .. ' recalled ' .. (recovering and '' or position))
redis.call('ZADD', recalled, number, user)
redis.call('ZREM', grace, user)
return {'recalled', number, recovering and 0 or position, in_line + redis.call('ZCARD', recalled)}
