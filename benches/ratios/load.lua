-- What wrk sends: requests made of a head with a token and of a body, both from files, in the files' order.
-- Heads are ready before the load begins, so that the bare route and the service are loaded by the same work.
--
-- Arguments: method, path, file of tokens or '-', file of bodies or '-', the first body.

local heads, bodies, sent = {}, nil, 0

local function lines(path, first)
  local list, at = {}, 0
  for line in io.lines(path) do
    if at >= first then
      list[#list + 1] = line
    end
    at = at + 1
  end
  return list
end

function init(args)
  local method, path = args[1], args[2]
  bodies = args[4] ~= '-' and lines(args[4], tonumber(args[5])) or nil
  local sample = bodies and bodies[1]
  local function head(token)
    local headers = { Host = wrk.headers['Host'] }
    headers['Authorization'] = token and 'Bearer ' .. token
    headers['Content-Type'] = sample and 'application/json'
    local whole = wrk.format(method, path, headers, sample)
    return sample and whole:sub(1, -#sample - 1) or whole
  end
  if args[3] == '-' then
    heads = { head(nil) }
  else
    for i, token in ipairs(lines(args[3], 0)) do
      heads[i] = head(token)
    end
  end
end

function request()
  local at = sent
  sent = sent + 1
  local head = heads[at % #heads + 1]
  return bodies and head .. bodies[at % #bodies + 1] or head
end

function done(summary)
  local errors = summary.errors
  io.write(string.format('measured %d %d %d %d\n', summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout))
end
