-- Spark's date and time functions, and a few others that DuckDB lacks or
-- counts differently. Each is created for the statements that name it.
-- spark_local and spark_instant are made by functions.go; patterns come as
-- strftime's, see pattern in rules.go. Source: Spark SQL's built-in functions and Datetime Patterns.

-- An instant, from an instant, a date or a text.
CREATE MACRO spark_timestamp(x) AS
  CASE WHEN typeof(x) = 'TIMESTAMP WITH TIME ZONE' THEN try_cast(x AS TIMESTAMPTZ) ELSE CAST(x AS TIMESTAMPTZ) END;

CREATE MACRO spark_unit(unit) AS
  CASE lower(unit) WHEN 'yyyy' THEN 'year' WHEN 'yy' THEN 'year' WHEN 'mm' THEN 'month' WHEN 'mon' THEN 'month' WHEN 'dd' THEN 'day' ELSE lower(unit) END;

-- A number without what is behind the point, for CAST(x AS INT). What is nested grows
-- with each mention of x: a lambda has one.
CREATE MACRO spark_whole(x) AS CASE
  WHEN typeof(x) IN ('FLOAT', 'DOUBLE') THEN CAST(system.main.trunc(try_cast(x AS DOUBLE)) AS BIGINT)
  WHEN typeof(x) LIKE 'DECIMAL%' THEN CAST(split_part(CAST(x AS VARCHAR), '.', 1) AS BIGINT)
  WHEN typeof(x) = 'VARCHAR' THEN list_transform([CAST(x AS VARCHAR)], lambda t:
    CASE WHEN try_cast(t AS BIGINT) IS NOT NULL AND NOT regexp_full_match(t, '\s*[-+]?[0-9]+\s*')
    THEN CAST(error('''' || t || ''' is no whole number; of a text such as ''1.5'' write CAST(CAST(x AS DOUBLE) AS INT)') AS BIGINT) ELSE CAST(t AS BIGINT) END)[1]
  ELSE CAST(x AS BIGINT) END;
CREATE MACRO spark_try_whole(x) AS CASE
  WHEN typeof(x) IN ('FLOAT', 'DOUBLE') THEN try_cast(system.main.trunc(try_cast(x AS DOUBLE)) AS BIGINT)
  WHEN typeof(x) LIKE 'DECIMAL%' THEN try_cast(split_part(CAST(x AS VARCHAR), '.', 1) AS BIGINT)
  WHEN typeof(x) = 'VARCHAR' THEN list_transform([CAST(x AS VARCHAR)], lambda t: CASE WHEN regexp_full_match(t, '\s*[-+]?[0-9]+\s*') THEN try_cast(t AS BIGINT) END)[1]
  ELSE try_cast(x AS BIGINT) END;

-- For CAST(x AS STRING): an instant as clocks show it, a double as Java writes it
-- (Double.toString). DuckDB's text of an instant has the offset, too, and compared
-- with a constant that is no time makes NULL.
CREATE MACRO spark_text(x) AS CASE WHEN typeof(x) IN ('TIMESTAMP WITH TIME ZONE', 'FLOAT', 'DOUBLE')
  THEN list_transform([x], lambda v: CASE WHEN typeof(v) = 'TIMESTAMP WITH TIME ZONE' THEN CAST(spark_local(v) AS VARCHAR)
  ELSE spark_double_text(CAST(v AS VARCHAR)) END)[1] ELSE CAST(x AS VARCHAR) END;
-- From DuckDB's text, which has the same digits: 12345678.0 is 1.2345678E7, 1e-05 is 1.0E-5.
CREATE MACRO spark_double_text(text) AS list_transform([text], lambda t: CASE
  WHEN t IN ('nan', 'inf', '-inf') THEN replace(replace(t, 'nan', 'NaN'), 'inf', 'Infinity')
  WHEN abs(try_cast(t AS DOUBLE)) >= 1e7 OR abs(try_cast(t AS DOUBLE)) < 1e-3 AND try_cast(t AS DOUBLE) <> 0
  THEN regexp_replace(regexp_replace(regexp_replace(split_part(t, 'e', 1), '[.]', ''), '^(-?)0*([0-9])([0-9]*?)0*$', '\1\2.\3'), '[.]$', '.0') || 'E'
    || coalesce(try_cast(regexp_extract(t, 'e([-+0-9]+)', 1) AS INTEGER), 0)
      + CASE WHEN t LIKE '0.%' OR t LIKE '-0.%' THEN -1 - length(regexp_extract(t, '[.](0*)', 1)) ELSE length(regexp_extract(t, '^-?([0-9]+)', 1)) - 1 END
  ELSE t END)[1];

-- For double(x) and float(x), which are types to DuckDB.
CREATE MACRO spark_double(x) AS CAST(x AS DOUBLE);
CREATE MACRO spark_float(x) AS CAST(x AS FLOAT);
-- NULL is a number, here.
CREATE MACRO isnan(x) AS coalesce(system.main.isnan(x), false);
CREATE MACRO nanvl(x, otherwise) AS CASE WHEN system.main.isnan(x) THEN otherwise ELSE x END;

CREATE MACRO year(x) AS CAST(system.main.year(spark_local(x)) AS INTEGER);
CREATE MACRO quarter(x) AS CAST(system.main.quarter(spark_local(x)) AS INTEGER);
CREATE MACRO month(x) AS CAST(system.main.month(spark_local(x)) AS INTEGER);
CREATE MACRO weekofyear(x) AS CAST(system.main.weekofyear(spark_local(x)) AS INTEGER);
CREATE MACRO day(x) AS CAST(system.main.day(spark_local(x)) AS INTEGER);
CREATE MACRO dayofmonth(x) AS CAST(system.main.day(spark_local(x)) AS INTEGER);
CREATE MACRO dayofyear(x) AS CAST(system.main.dayofyear(spark_local(x)) AS INTEGER);
-- 1 is Sunday
CREATE MACRO dayofweek(x) AS CAST(system.main.dayofweek(spark_local(x)) + 1 AS INTEGER);
-- 0 is Monday
CREATE MACRO weekday(x) AS CAST(system.main.isodow(spark_local(x)) - 1 AS INTEGER);
CREATE MACRO hour(x) AS CAST(system.main.hour(spark_local(x)) AS INTEGER);
CREATE MACRO minute(x) AS CAST(system.main.minute(spark_local(x)) AS INTEGER);
CREATE MACRO second(x) AS CAST(system.main.second(spark_local(x)) AS INTEGER);

-- Units below a day are cut off an instant, so that the hour that clocks repeat
-- stays the one it was.
CREATE MACRO date_trunc(unit, x) AS
  CASE WHEN spark_unit(unit) IN ('hour', 'minute', 'second', 'millisecond', 'microsecond')
  THEN make_timestamptz(epoch_us(spark_timestamp(x)) - epoch_us(spark_local(x)) + epoch_us(system.main.date_trunc(spark_unit(unit), spark_local(x))))
  ELSE spark_instant(system.main.date_trunc(spark_unit(unit), spark_local(x))) END;
CREATE MACRO trunc(x) AS system.main.trunc(x), (x, unit) AS CAST(system.main.date_trunc(spark_unit(unit), spark_local(x)) AS DATE);

CREATE MACRO date_format(x, pattern) AS strftime(spark_local(x), pattern);
CREATE MACRO to_date(x) AS CAST(spark_local(x) AS DATE), (x, pattern) AS CAST(strptime(x, pattern) AS DATE);
CREATE MACRO to_timestamp(x) AS
  CASE WHEN typeof(x) IN ('TIMESTAMP WITH TIME ZONE') THEN try_cast(x AS TIMESTAMPTZ)
  WHEN typeof(x) IN ('TINYINT', 'SMALLINT', 'INTEGER', 'BIGINT', 'HUGEINT', 'FLOAT', 'DOUBLE') OR typeof(x) LIKE 'DECIMAL%'
  THEN make_timestamptz(CAST(try_cast(x AS DOUBLE) * 1000000 AS BIGINT))
  WHEN typeof(x) = 'VARCHAR' AND NOT regexp_matches(CAST(x AS VARCHAR), '(Z|[A-Za-z]+/[A-Za-z_]+|UTC|:[0-9.]+ ?[+-][0-9:]+)$')
  THEN spark_instant(CAST(CAST(x AS VARCHAR) AS TIMESTAMP))
  ELSE CAST(CAST(x AS VARCHAR) AS TIMESTAMPTZ) END,
  (x, pattern) AS spark_instant(strptime(x, pattern));
CREATE MACRO unix_timestamp() AS CAST(floor(epoch_us(now()) / 1000000) AS BIGINT),
  (x) AS CAST(floor(epoch_us(spark_timestamp(x)) / 1000000) AS BIGINT),
  (x, pattern) AS CAST(floor(epoch_us(spark_instant(strptime(x, pattern))) / 1000000) AS BIGINT);
CREATE MACRO from_unixtime(seconds) AS strftime(spark_local(make_timestamptz(CAST(seconds AS BIGINT) * 1000000)), '%Y-%m-%d %H:%M:%S'),
  (seconds, pattern) AS strftime(spark_local(make_timestamptz(CAST(seconds AS BIGINT) * 1000000)), pattern);
CREATE MACRO from_utc_timestamp(x, zone) AS make_timestamptz(epoch_us(timezone(zone, spark_timestamp(x))));
CREATE MACRO to_utc_timestamp(x, zone) AS make_timestamptz(epoch_us(timezone(zone, make_timestamp(epoch_us(spark_timestamp(x))))));
CREATE MACRO current_timestamp() AS now();
CREATE MACRO current_date() AS CAST(spark_local(now()) AS DATE);

CREATE MACRO date_add(x, days) AS CAST(spark_local(x) AS DATE) + CAST(days AS INTEGER);
CREATE MACRO date_sub(x, days) AS CAST(spark_local(x) AS DATE) - CAST(days AS INTEGER);
-- Spark's order: the end comes first.
CREATE MACRO datediff(a, b) AS CAST(CAST(spark_local(a) AS DATE) - CAST(spark_local(b) AS DATE) AS INTEGER),
  (unit, a, b) AS date_sub(unit, spark_local(a), spark_local(b));
CREATE MACRO add_months(x, months) AS CAST(CAST(spark_local(x) AS DATE) + to_months(CAST(months AS INTEGER)) AS DATE);
CREATE MACRO last_day(x) AS system.main.last_day(CAST(spark_local(x) AS DATE));

CREATE MACRO log(x) AS ln(x), (base, x) AS system.main.log(base, x);
CREATE MACRO nvl(x, otherwise) AS coalesce(x, otherwise);
CREATE MACRO percentile(x, p) AS quantile_cont(x, p);
CREATE MACRO percentile_approx(x, p) AS quantile_disc(x, p), (x, p, accuracy) AS quantile_disc(x, p);
CREATE MACRO approx_percentile(x, p) AS quantile_disc(x, p), (x, p, accuracy) AS quantile_disc(x, p);
