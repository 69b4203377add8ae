-- `http-request lua.latchkey <requirement of the route>` sets txn.allowed, or answers 401 or 403. haproxy.cfg rejects every other request.
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
      -- Latchkey rejects several values, because the service could read any of them. Two are enough to make it reject.
      authorization = { sent[0], sent[1] },
      ['x-forwarded-for'] = { txn.f:src() },
      ['x-forwarded-method'] = { txn.f:method() },
      ['x-forwarded-host'] = { txn.f:req_hdr('host') },
      ['x-forwarded-uri'] = { txn.f:pathq() },
      -- This connection is not reused.
      connection = { 'close' },
    },
  })
  -- Other programs also answer 200, but only Latchkey with these headers.
  if answer.status == 200 and answer.headers['x-auth-roles'] then
    for _, name in ipairs(IDENTITY) do
      local value = answer.headers[name][0]
      if value == '' then txn.http:req_del_header(name) else txn.http:req_set_header(name, value) end
    end
    txn:set_var('txn.allowed', true)
  elseif (answer.status == 401 or answer.status == 403) and answer.headers['www-authenticate'] then
    local reply = txn:reply({ status = answer.status, body = answer.body })
    for _, name in ipairs(REFUSAL) do
      for _, value in pairs(answer.headers[name] or {}) do reply:add_header(name, value) end
    end
    txn:done(reply)
  end
end, 1)
