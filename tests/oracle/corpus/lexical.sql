SELECT 'a''b', 'a\nb', E'a\nb\'c', e'\x41\101\u0041\U00000041', U&'\0041\+000042!', U&'!0041' UESCAPE '!', N'abc', n'x', B'0101', X'1F', b'', x''
%%
SELECT 'one'
'two' -- comment
  'three', 'x'  'y'
%%
SELECT E'a\\'
'b\\', U&'a' 'b'
%%
SELECT E'a\\'
'b\\', U&'a'
'\0041', B'01'
'10', X'1'
'F'
%%
SELECT $$a'b$$, $x$ $$ $y$ $x$, $$$$, $é$ü$é$, a$b$c FROM t
%%
SELECT 1, 1.5, .5, 1., 1e5, 1.e-5, .5E+2, 2147483647, 2147483648, 9223372036854775807, 9223372036854775808, 1_000, 0x1F, 0xFFFFFFFF, 0x_FF, 0o17, 0b101, 007, 1_000.5_0, 12345678901234567890.5
%%
SELECT -1, - 1, -2147483648, -9223372036854775808, -1.5, +1, - - 1, -(-1), 1-1, 1 -1, a-1, (a)-1, -$1, -'1', -a
%%
SELECT @-1, @ -1, a=-1, a <-1, a<=-1, a*-1, a%-1, a||-1, a-- comment
+1 FROM t
%%
SELECT a*/*c*/b, a@/*c*/b, 1/**/+/*/*nested*/*/2
%%
SELECT "A""b", U&"d\0061t\+000061", U&"d!0061t" UESCAPE '!', "select", été, "É", _x1$ FROM t
%%
SELECT aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, "ééééééééééééééééééééééééééééééééééééééééééééééé" FROM t
%%
SELECT $1, $2::int, $10 + $1, a[$1], a[1:2], a[:2], a[1:], a[:] FROM t
%%
SELECT $1$2
%%
SELECT a ? 'b', a ?| b, a ?& b, a @> b, a <@ b, a -> 'b' ->> 'c', a #> '{b}' #>> '{c}', a @? 'x', a @@ 'y', a && b, a ^@ 'b', a !~~* 'c', a ~* 'd', a <-> b FROM t
%%
SELECT a!=b, a<>b, a>=b, a<=b, a=>b FROM t
%%
SELECT f(a => 1, b := 'x')
%%
SELECT 1..2
%%
SELECT 123abc
%%
SELECT 1e
%%
SELECT 0x
%%
SELECT 1_
%%
SELECT 1__0
%%
SELECT 'unterminated
%%
SELECT /* unterminated
%%
SELECT "unterminated
%%
SELECT $$unterminated
%%
SELECT ""
%%
SELECT \d
%%
SELECT {a}
%%
SELECT U&'\00'
%%
SELECT E'\u12'
%%
SELECT E'\ud83d\ude00', U&'\d83d\de00'
%%
SELECT E'\ud83d'
%%
SELECT U&'a' UESCAPE '+'
%%
SELECT 1;;; ; SELECT 2 -- x
; -- y
%%
CREATE RULE r AS ON INSERT TO t DO ALSO (INSERT INTO l VALUES (new.a); UPDATE l SET a = 1;); SELECT 1
%%
CREATE OR REPLACE FUNCTION f(a int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT CASE WHEN a > 1 THEN 1 ELSE CASE a WHEN 1 THEN 2 END END; SELECT a; END; SELECT 2
%%
CREATE PROCEDURE p() BEGIN ATOMIC INSERT INTO t VALUES ('x;y'); DELETE FROM t WHERE a = 1; END; SELECT 3
%%
BEGIN; SELECT 1; END; COMMIT
%%
SELECT begin atomic; SELECT 2
