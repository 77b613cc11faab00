-- Asks Anteroom whether a visitor is inside, for haproxy.cfg:
--   http-request lua.anteroom <address of Anteroom> <room>
-- Sets txn.queue to `inside`, `waiting` or `unsure`, and what belongs to it: queue_user, queue_room, queue_until, or
-- queue_redirect.

local PATIENCE_MS = 3000

-- The first value of a header, which haproxy gives as a list that begins at 0.
local function first(headers, name)
  return headers and headers[name] and headers[name][0]
end

core.register_action('anteroom', {'http-req'}, function(txn, address, room)
  local asked = txn.http:req_get_headers()
  local scheme = txn.f:ssl_fc() == 1 and 'https' or 'http'
  local host = first(asked, 'host') or ''
  local told = {['x-original-url'] = {scheme .. '://' .. host .. txn.f:pathq()}}
  for _, name in ipairs({'host', 'authorization', 'cookie'}) do
    told[name] = first(asked, name) and {first(asked, name)}
  end
  local answer = core.httpclient():get({
    url = address .. '/queue/verify?mode=status&room=' .. room,
    headers = told,
    timeout = PATIENCE_MS,
  })
  local status = answer and answer.status or 0
  if status == 200 then
    txn:set_var('txn.queue', 'inside')
    for name, header in pairs({queue_user = 'x-queue-user', queue_room = 'x-queue-room', queue_until = 'x-queue-until'}) do
      txn:set_var('txn.' .. name, first(answer.headers, header) or '')
    end
  elseif status == 401 and first(answer.headers, 'x-queue-redirect') then
    txn:set_var('txn.queue', 'waiting')
    txn:set_var('txn.queue_redirect', first(answer.headers, 'x-queue-redirect'))
  else
    txn:set_var('txn.queue', 'unsure')
  end
end, 2)
