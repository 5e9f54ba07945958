-- A column of every type that can be declared, and rows with what is extreme in each.
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TABLE types (id integer PRIMARY KEY, finite boolean NOT NULL, c_small smallint, c_int integer, c_big bigint,
    c_num numeric, c_num204 numeric(20,4), c_num50 numeric(5,0), c_real real, c_double double precision, c_money money,
    c_text text, c_varchar varchar(10), c_char char(6), c_bytea bytea, c_uuid uuid, c_date date, c_time time,
    c_time3 time(3), c_ts timestamp, c_ts3 timestamp(3), c_ts0 timestamp(0), c_tstz timestamptz, c_tstz3 timestamptz(3),
    c_interval interval, c_json json, c_jsonb jsonb, c_inet inet, c_enum mood);
CREATE TABLE arrays (id integer PRIMARY KEY, a_small smallint[], a_int integer[], a_big bigint[], a_num numeric[],
    a_num2 numeric(10,2)[], a_real real[], a_double double precision[], a_bool boolean[], a_text text[],
    a_varchar varchar(10)[], a_char char(6)[], a_bytea bytea[], a_uuid uuid[], a_date date[], a_time3 time(3)[],
    a_ts3 timestamp(3)[], a_tstz timestamptz[], a_jsonb jsonb[], a_inet inet[]);
-- Values that are stored out of line: an UPDATE of another column does not carry them.
CREATE TABLE large (id integer PRIMARY KEY, n integer, l_text text, l_varchar varchar(9000), l_bytea bytea, l_jsonb jsonb,
    l_int integer[], l_big bigint[], l_texts text[], l_uuid uuid[], l_jsonbs jsonb[],
    l_nums numeric(10,2)[]);
DO $$
DECLARE name text;
BEGIN
    FOR name IN SELECT attname FROM pg_attribute WHERE attrelid = 'large'::regclass AND attnum > 2 LOOP
        EXECUTE format('ALTER TABLE large ALTER %I SET STORAGE EXTERNAL', name);
    END LOOP;
END $$;

-- Dates before Christ: the connector's snapshot loses their era, its stream does not.
CREATE FUNCTION insert_types(first integer, bc boolean) RETURNS void LANGUAGE sql AS $$
INSERT INTO types (id, finite) VALUES (first, false);
INSERT INTO types VALUES (first + 1, true, 1, 2, 3, 12.3400, 12.34, 42, 1.1, 0.1, 12.34, 'a b', 'vc', 'ab', '\x0001feff',
    'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '2023-01-19', '12:34:56.123456', '12:34:56.123',
    '2023-01-19 12:34:56.123456', '2023-01-19 12:34:56.123', '2023-01-19 12:34:56', '2023-01-19 12:34:56.123456+02',
    '2023-01-19 12:34:56.123+02', '1 year 2 mons 3 days 04:05:06.7', '{"a": 1,  "b":[true,null]}',
    '{"b": 1.50, "a": [1e2, "\u00e9"]}', '192.168.0.1/24', 'happy');
INSERT INTO types VALUES (first + 2, NOT bc, -32768, -2147483648, -9223372036854775808,
    -123456789012345678901234567890.123456789012345678901234567890, -9999999999999999.9999, -99999, -3.4028235e38,
    -1.7976931348623157e308, '-92233720368547758.08', '', '', '', '', '00000000-0000-0000-0000-000000000000',
    CASE WHEN bc THEN date '4714-11-24 BC' ELSE '0001-01-01' END, '00:00', '00:00',
    '4714-11-24 00:00 BC', '4714-11-24 00:00 BC', '4714-11-24 00:00 BC', '4714-11-24 00:00+00 BC',
    '4714-11-24 00:00+00 BC', '-1 mons -1 days -00:00:00.000001', '""', 'null', '::1', 'sad');
INSERT INTO types VALUES (first + 3, true, 32767, 2147483647, 9223372036854775807, 1e40, 9999999999999999.9999, 99999,
    1e-45, 5e-324, '92233720368547758.07', E'\t"\\\n\u00a0|', 'żółw żółw!', 'żółw', '\xfb', 'ffffffff-ffff-ffff-ffff-ffffffffffff',
    '5874897-12-31', '23:59:59.999999', '23:59:59.999', '9999-12-31 23:59:59.999999', '9999-12-31 23:59:59.999',
    '9999-12-31 23:59:59', '9999-12-31 23:59:59.999999+00', '9999-12-31 23:59:59.999+00', '1000 years -00:00:01', '[]', '{}',
    'fe80::1/10', 'ok');
INSERT INTO types VALUES (first + 4, false, 0, 0, 9007199254740993, 'NaN', 'NaN', 'NaN', 'NaN', 'NaN', 0, 'Infinity', 'x', ' x',
    '\x00', NULL, 'infinity', NULL, NULL, 'infinity', 'infinity', 'infinity', 'infinity', 'infinity', '00:00', '1', '1',
    '10.0.0.0/8', 'ok');
INSERT INTO types VALUES (first + 5, false, 0, 0, 0, 'Infinity', 0.0001, 0, 'Infinity', 'Infinity', -0.01, 'x', 'x', 'abcdef',
    '\x7f', NULL, '-infinity', '00:00:00.000001', '00:00:00.001', '-infinity', '-infinity', '-infinity', '-infinity', '-infinity',
    '-00:00:01', '1', '1.0', '0.0.0.0/0', 'ok');
INSERT INTO types (id, finite, c_num, c_num204, c_real, c_double, c_date, c_ts, c_ts3, c_tstz) VALUES (first + 6, false, '-Infinity', 1,
    '-Infinity', '-Infinity', '1969-12-31', '1969-12-31 23:59:59.999999', '1969-12-31 23:59:59.999', '1969-12-31 23:59:59.999999+00');
INSERT INTO types (id, finite, c_num, c_num204, c_real, c_double, c_ts, c_tstz) VALUES (first + 7, true, 0.0000000000000000000000001, -1,
    '-0', '-0', '1500-02-28 01:02:03.5', '1500-02-28 01:02:03.5+00');
INSERT INTO arrays (id) VALUES (first);
INSERT INTO arrays VALUES (first + 1, '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}',
    '{}', '{}');
INSERT INTO arrays VALUES (first + 2, '{1,NULL,-32768}', '{1,NULL,2147483647}', '{1,NULL,-9223372036854775808}',
    '{1.50,NULL,-0.001}', '{1.50,NULL,-2}', '{1.5,NULL,-0.1}', '{1.5,NULL,1e300,NaN,-Infinity}', '{t,NULL,f}',
    '{a,NULL,"b \" c","","NULL"}', '{a,NULL,b}', '{a,NULL,b}', '{"\\x00fffb",NULL,"\\x"}',
    '{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11,NULL}', '{2023-01-19,NULL,1969-12-31,infinity}', '{12:34:56.123,NULL,00:00}',
    '{2023-01-19 12:34:56.123,NULL,-infinity}', '{2023-01-19 12:34:56.123456+02,NULL,infinity}', '{"{\"a\": 1}",NULL,"[1.50]"}',
    '{10.0.0.1,NULL,::1}');
INSERT INTO large SELECT i, 0, t, t, decode(repeat(md5(i::text), 400), 'hex'), to_jsonb(t), n, n, n::text[], u, array_agg(to_jsonb(x)), n::numeric(10,2)[]
    FROM generate_series(first, first + 1) i, LATERAL (SELECT repeat(md5(i::text), 270) AS t,
        (SELECT array_agg(g) FROM generate_series(1, 2500) g) AS n,
        (SELECT array_agg(md5(g::text)::uuid) FROM generate_series(1, 600) g) AS u) v, generate_series(1, 2500) x
    GROUP BY i, t, n, u;
$$;
