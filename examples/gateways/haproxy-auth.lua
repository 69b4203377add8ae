-- `http-request lua.latchkey <what the route asks for>` sets txn.admitted, or answers 401 or 403. haproxy.cfg refuses the rest.
local IDENTITY = {
  'x-auth-user-id', 'x-auth-session-id', 'x-auth-email', 'x-auth-email-verified', 'x-auth-service', 'x-auth-roles',
}
local REFUSAL = { 'www-authenticate', 'content-type', 'cache-control' }

core.register_action('latchkey', { 'http-req' }, function(txn, requirement)
  local sent = txn.http:req_get_headers().authorization or {}
  local answer = core.httpclient():get({
    url = 'http://latchkey/forward-auth?' .. requirement,
    dst = 'abns@latchkey',
    headers = {
      -- Latchkey refuses several, as nobody can tell which of them the service would look at: two tell it enough.
      authorization = { sent[0], sent[1] },
      -- It would not be used again.
      connection = { 'close' },
    },
  })
  if answer.status == 200 then
    for _, name in ipairs(IDENTITY) do
      local value = answer.headers[name][0]
      if value == '' then txn.http:req_del_header(name) else txn.http:req_set_header(name, value) end
    end
    txn:set_var('txn.admitted', true)
  elseif answer.status == 401 or answer.status == 403 then
    local reply = txn:reply({ status = answer.status, body = answer.body })
    for _, name in ipairs(REFUSAL) do
      for _, value in pairs(answer.headers[name] or {}) do reply:add_header(name, value) end
    end
    txn:done(reply)
  end
end, 1)
