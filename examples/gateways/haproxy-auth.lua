-- `http-request lua.latchkey <requirement of the route>` sets txn.allowed, or rejects the request with the answer of Latchkey.
-- `lua.latchkey_browser` does the same where browsers have a session cookie. haproxy.cfg rejects every other request.
local IDENTITY = {
  'x-auth-user-id', 'x-auth-session-id', 'x-auth-email', 'x-auth-email-verified', 'x-auth-acr', 'x-auth-time',
  'x-auth-service', 'x-auth-roles',
}
local REFUSAL = { 'www-authenticate', 'content-type', 'cache-control', 'location' }
local REJECTED = { [302] = true, [401] = true, [403] = true }
-- The defence against requests of other sites reads these.
local OF_BROWSERS = { 'origin', 'sec-fetch-site', 'sec-fetch-mode', 'accept', 'x-requested-with', 'sec-websocket-key' }
local COOKIES = {
  ['__Host-latchkey-session'] = true, ['__Secure-latchkey-refresh'] = true,
  ['latchkey-session'] = true, ['latchkey-refresh'] = true,
}

-- A request can have several Cookie headers.
local function cookies_of(txn)
  local lines = {}
  for _, line in pairs(txn.http:req_get_headers().cookie or {}) do lines[#lines + 1] = line end
  return table.concat(lines, '; ')
end

local function headers_of(txn)
  local sent = txn.http:req_get_headers().authorization or {}
  return {
    -- Latchkey rejects several values, because the service could read any of them. Two are enough to make it reject.
    authorization = { sent[0], sent[1] },
    ['x-forwarded-for'] = { txn.f:src() },
    ['x-forwarded-method'] = { txn.f:method() },
    ['x-forwarded-host'] = { txn.f:req_hdr('host') },
    ['x-forwarded-uri'] = { txn.f:pathq() },
    -- This connection is not reused.
    connection = { 'close' },
  }
end

local function check(txn, requirement, headers)
  local answer = core.httpclient():get({
    url = 'http://latchkey/forward-auth?' .. requirement,
    dst = 'abns@latchkey',
    headers = headers,
  })
  -- Other programs also answer 200, but only Latchkey with these headers.
  if answer.status == 200 and answer.headers['x-auth-roles'] then
    for _, name in ipairs(IDENTITY) do
      -- A Latchkey of the release before has fewer headers.
      local value = (answer.headers[name] or {})[0] or ''
      if value == '' then txn.http:req_del_header(name) else txn.http:req_set_header(name, value) end
    end
    txn:set_var('txn.allowed', true)
  elseif REJECTED[answer.status] and answer.headers['www-authenticate'] then
    local reply = txn:reply({ status = answer.status, body = answer.body })
    for _, name in ipairs(REFUSAL) do
      for _, value in pairs(answer.headers[name] or {}) do reply:add_header(name, value) end
    end
    txn:done(reply)
  end
end

core.register_action('latchkey', { 'http-req' }, function(txn, requirement)
  check(txn, requirement, headers_of(txn))
end, 1)

core.register_action('latchkey_browser', { 'http-req' }, function(txn, requirement)
  local headers = headers_of(txn)
  local sent = txn.http:req_get_headers()
  headers.cookie = { cookies_of(txn) }
  for _, name in ipairs(OF_BROWSERS) do headers[name] = sent[name] and { sent[name][0] } end
  check(txn, requirement, headers)
end, 1)

-- Sets txn.cookies to the cookies for the service: all but those of Latchkey.
core.register_action('service_cookies', { 'http-req' }, function(txn)
  local kept = {}
  for pair in cookies_of(txn):gmatch('[^;]+') do
    local name = pair:match('^%s*([^=]-)%s*=') or pair
    if not COOKIES[name] then kept[#kept + 1] = pair:match('^%s*(.-)%s*$') end
  end
  if #kept > 0 then txn:set_var('txn.cookies', table.concat(kept, '; ')) end
end)
