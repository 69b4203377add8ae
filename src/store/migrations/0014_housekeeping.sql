-- Removes what is over and done with from a table, a page of it at a time: the service walks from one page to the next, and needs
-- no index for it. It cannot remove anything else. Kept for a week, so that whoever comes late hears what has become of it.
CREATE FUNCTION remove_expired(what text, after uuid, page_size integer) RETURNS TABLE (next uuid, removed integer)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  is_over text := CASE what
    WHEN 'sessions' THEN 'least(coalesce(ended_at, expires_at), expires_at)'
    WHEN 'password_resets' THEN 'expires_at'
    WHEN 'email_verifications' THEN 'expires_at'
    WHEN 'oauth_flows' THEN 'expires_at'
  END;
BEGIN
  IF is_over IS NULL THEN
    RAISE EXCEPTION 'nothing of this name is removed';
  END IF;
  RETURN QUERY EXECUTE format('
    WITH page AS (SELECT id FROM %1$I WHERE $1 IS NULL OR id > $1 ORDER BY id LIMIT $2),
    gone AS (
      DELETE FROM %1$I WHERE id IN (SELECT id FROM page) AND %2$s < now() - interval ''7 days'' RETURNING id)
    SELECT (SELECT id FROM page ORDER BY id DESC LIMIT 1), (SELECT count(*)::integer FROM gone)', what, is_over)
    USING after, page_size;
END
$$;
REVOKE ALL ON FUNCTION remove_expired FROM PUBLIC;
GRANT EXECUTE ON FUNCTION remove_expired TO latchkey_service;
