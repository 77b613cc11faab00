#!lua flags=allow-oom
-- Gives a room its settings, unless it has newer ones.
--
-- KEYS[1] hash: the room's settings and counters
-- ARGV[1] incarnation
-- ARGV[2] version of the settings
-- ARGV[3..] pairs of setting and value
--
-- Answers: 'lost'; 'newer' (it has these or newer settings); 'configured'.
-- Cost: O(settings).

local room = KEYS[1]

local told = redis.call('HMGET', room, 'incarnation', 'version')
if told[1] ~= ARGV[1] then
  return {'lost'}
end
if tonumber(told[2] or 0) >= tonumber(ARGV[2]) then
  return {'newer'}
end
for i = 3, #ARGV, 2 do
  redis.call('HSET', room, ARGV[i], ARGV[i + 1])
end
redis.call('HSET', room, 'version', ARGV[2])
return {'configured'}
