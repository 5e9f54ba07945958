SET pipline = 'x';
SET search_path = public, other;
SET password = 'hidden';
