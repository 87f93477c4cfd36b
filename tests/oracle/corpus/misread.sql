-- A sign binds more than ^ does, but is read as less: numbers only, and no sealed value has either.
SELECT - a ^ 2 FROM t
%%
-- The literal is read as the name of a field: nobody visits it, so it counts as not understood.
SELECT extract('month' FROM d) FROM t
%%
-- A prefix operator takes the sum: numbers only.
SELECT ~ a + b FROM t
