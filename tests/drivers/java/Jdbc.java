import java.io.StringReader;
import java.io.StringWriter;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.sql.*;
import java.time.*;
import java.util.*;
import java.util.regex.*;
import org.postgresql.PGConnection;
import org.postgresql.copy.CopyManager;
import org.postgresql.util.PGInterval;
import org.postgresql.util.PGobject;
import org.postgresql.util.PSQLException;
import org.postgresql.util.ServerErrorMessage;

/** pgjdbc. Modes: extended (the default), simple, prepared (server-side from the first use), rewrite (batches as multi-row inserts). */
public class Jdbc {
    static final boolean SEALED = "sealed".equals(System.getenv("TARGET"));
    static final String WORD = "kanarie", ADA = WORD + "-ada@example.com";
    static String mode;

    public static void main(String[] arguments) throws Exception {
        mode = arguments[0];
        List<?> steps = (List<?>) new Json(Files.readString(Path.of(System.getenv("STEPS")))).value();
        try (Connection connection = connect()) {
            for (Object o : steps) {
                Map<?, ?> step = (Map<?, ?>) o;
                emit((String) step.get("check"), step.get("step"), run(connection, step));
            }
            own(connection);
        }
        System.out.flush();
        // The threads of the driver's timers are not waited for.
        System.exit(0);
    }

    static Connection connect() throws SQLException {
        Properties p = new Properties();
        p.put("user", "app");
        p.put("password", System.getenv("PGPASSWORD"));
        if (mode.equals("simple")) p.put("preferQueryMode", "simple");
        if (mode.equals("prepared")) p.put("prepareThreshold", "1");
        if (mode.equals("rewrite")) p.put("reWriteBatchedInserts", "true");
        return DriverManager.getConnection("jdbc:postgresql://127.0.0.1:" + System.getenv("PGPORT") + "/app", p);
    }

    static Object run(Connection connection, Map<?, ?> step) {
        String sql = (String) step.get("sql");
        List<?> params = (List<?>) step.get("params");
        if (step.get("refused") != null && !SEALED) {
            sql = (String) step.get("instead");
            params = List.of();
        }
        int again = step.get("again") == null ? 1 : ((Number) step.get("again")).intValue();
        List<Object> values = new ArrayList<>();
        Matcher marks = Pattern.compile("\\$(\\d+)").matcher(sql);
        if (!params.isEmpty()) while (marks.find()) values.add(params.get(Integer.parseInt(marks.group(1)) - 1));
        String text = params.isEmpty() ? sql : marks.replaceAll("?");
        Object result = null;
        try (PreparedStatement statement = connection.prepareStatement(text)) {
            for (int n = 0; n < again; n++) {
                try {
                    for (int k = 0; k < values.size(); k++) set(connection, statement, k + 1, (List<?>) values.get(k));
                    result = answer(statement, statement.execute());
                } catch (Exception problem) {
                    result = error(problem);
                }
            }
        } catch (Exception problem) {
            result = error(problem);
        }
        return result;
    }

    /** A parameter as an application gives it. */
    static void set(Connection connection, PreparedStatement statement, int n, List<?> param) throws Exception {
        String kind = (String) param.get(0);
        Object text = param.get(1);
        if (text instanceof List<?> elements) {
            String element = kind.substring(0, kind.length() - 2);
            Object[] values = new Object[elements.size()];
            for (int k = 0; k < values.length; k++) values[k] = elements.get(k) == null ? null : nativeValue(element, elements.get(k).toString());
            if (element.equals("bytea") && !mode.equals("simple")) values = Arrays.copyOf(values, values.length, byte[][].class);
            statement.setArray(n, connection.createArrayOf(element, values));
        } else if (text == null) {
            statement.setNull(n, Types.NULL);
        } else {
            Object value = nativeValue(kind, text.toString());
            if (kind.equals("string")) statement.setObject(n, value, Types.OTHER);
            else if (value instanceof byte[] bytes) statement.setBytes(n, bytes);
            else statement.setObject(n, value);
        }
    }

    static Object nativeValue(String kind, String text) throws Exception {
        return switch (kind) {
            case "int2" -> Short.valueOf(text);
            case "int4" -> Integer.valueOf(text);
            case "int8" -> Long.valueOf(text);
            case "float4" -> Float.valueOf(text);
            case "float8" -> Double.valueOf(text);
            case "numeric" -> new BigDecimal(text);
            case "bool" -> text.equals("true");
            case "date" -> mode.equals("simple") ? java.sql.Date.valueOf(text) : LocalDate.parse(text);
            case "time" -> LocalTime.parse(text);
            case "timestamp" -> mode.equals("simple") ? Timestamp.valueOf(text) : LocalDateTime.parse(text.replace(' ', 'T'));
            case "timestamptz" -> OffsetDateTime.parse(text.replace(' ', 'T') + ":00");
            case "uuid" -> UUID.fromString(text);
            case "interval" -> new PGInterval(text);
            case "inet", "json", "jsonb" -> object(kind, text);
            // The simple mode of this driver cannot send bytes.
            case "bytea" -> mode.equals("simple") ? object(kind, "\\x" + text) : HexFormat.of().parseHex(text);
            default -> text;
        };
    }

    static PGobject object(String kind, String text) throws SQLException {
        PGobject object = new PGobject();
        object.setType(kind);
        object.setValue(text);
        return object;
    }

    static Object answer(Statement statement, boolean rows) throws SQLException {
        List<Object> results = new ArrayList<>();
        while (true) {
            Map<String, Object> result = new LinkedHashMap<>();
            if (rows) read(statement.getResultSet(), result);
            else if (statement.getUpdateCount() == -1) break;
            else result.put("count", statement.getLargeUpdateCount());
            results.add(result);
            rows = statement.getMoreResults();
        }
        return results;
    }

    static void read(ResultSet set, Map<String, Object> result) throws SQLException {
        ResultSetMetaData meta = set.getMetaData();
        List<Object> columns = new ArrayList<>(), rows = new ArrayList<>();
        for (int n = 1; n <= meta.getColumnCount(); n++)
            columns.add(List.of(meta.getColumnLabel(n), meta.getColumnType(n), meta.getColumnTypeName(n), meta.getPrecision(n), meta.getScale(n), meta.getColumnDisplaySize(n), meta.getColumnClassName(n)));
        while (set.next()) {
            List<Object> row = new ArrayList<>();
            for (int n = 1; n <= meta.getColumnCount(); n++) row.add(shown(set, n));
            rows.add(row);
        }
        result.put("columns", columns);
        result.put("rows", rows);
    }

    static Object shown(ResultSet set, int n) throws SQLException {
        Object value = set.getObject(n);
        if (value == null) return null;
        String text = value instanceof byte[] bytes ? HexFormat.of().formatHex(bytes)
            : value instanceof java.sql.Array array ? Arrays.deepToString((Object[]) array.getArray())
            : value.toString();
        // As text too, which the driver makes in another way.
        return shortened(value.getClass().getSimpleName() + " " + text + " | " + set.getString(n));
    }

    static String shortened(String text) {
        if (text.length() <= 1000) return text;
        try {
            byte[] digest = MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8));
            return text.length() + " characters, " + HexFormat.of().formatHex(digest, 0, 8);
        } catch (java.security.NoSuchAlgorithmException problem) {
            throw new IllegalStateException(problem);
        }
    }

    static Map<String, Object> error(Exception problem) {
        Map<String, Object> result = new LinkedHashMap<>();
        Throwable origin = problem instanceof BatchUpdateException batch && batch.getNextException() != null ? batch.getNextException() : problem;
        if (origin instanceof PSQLException sql) {
            ServerErrorMessage server = sql.getServerErrorMessage();
            result.put("error", sql.getSQLState());
            result.put("message", server == null ? sql.getMessage() : server.getMessage());
            result.put("detail", server == null ? null : server.getDetail());
            result.put("severity", server == null ? null : server.getSeverity());
            result.put("constraint", server == null ? null : server.getConstraint());
            if ("0A000".equals(sql.getSQLState())) result.put("position", server != null && server.getPosition() > 0);
        } else {
            result.put("error", origin.getClass().getSimpleName());
            result.put("message", origin.getMessage());
        }
        if (problem instanceof BatchUpdateException batch) result.put("counts", boxed(batch.getUpdateCounts()));
        return result;
    }

    static List<Object> boxed(int[] counts) {
        List<Object> all = new ArrayList<>();
        for (int count : counts) all.add(count);
        return all;
    }

    interface Act { Object run() throws Exception; }

    static final Map<String, Integer> numbers = new HashMap<>();

    static void check(String name, Act act) {
        Object result;
        try {
            result = act.run();
        } catch (Exception problem) {
            result = error(problem);
        }
        emit(name, numbers.merge(name, 1001, (old, first) -> old + 1), result);
    }

    static Object ask(Connection connection, String sql, Object... values) throws SQLException {
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            for (int n = 0; n < values.length; n++) statement.setObject(n + 1, values[n]);
            return answer(statement, statement.execute());
        }
    }

    static boolean refused(SQLException problem) {
        return problem.getSQLState().equals(SEALED ? "0A000" : "42703");
    }

    static void own(Connection connection) {
        check("batch", () -> {
            ask(connection, "DELETE FROM orders");
            try (PreparedStatement insert = connection.prepareStatement("INSERT INTO orders (id, email, total) VALUES (?, ?, ?)")) {
                for (int n = 0; n < 300; n++) {
                    insert.setInt(1, n);
                    insert.setString(2, WORD + "-" + n % 20);
                    insert.setBigDecimal(3, BigDecimal.valueOf(n));
                    insert.addBatch();
                }
                return List.of(boxed(insert.executeBatch()), ask(connection, "SELECT email, count(*) FROM orders GROUP BY email ORDER BY min(id)"));
            }
        });
        check("batch", () -> {
            try (PreparedStatement insert = connection.prepareStatement("INSERT INTO orders (id, email) VALUES (?, ?)", Statement.RETURN_GENERATED_KEYS)) {
                for (int n = 400; n < 405; n++) {
                    insert.setInt(1, n);
                    insert.setString(2, WORD + "-g" + n);
                    insert.addBatch();
                }
                List<Object> counts = boxed(insert.executeBatch());
                Map<String, Object> keys = new LinkedHashMap<>();
                read(insert.getGeneratedKeys(), keys);
                return List.of(counts, keys);
            }
        });
        check("batch", () -> {
            try (PreparedStatement insert = connection.prepareStatement("INSERT INTO accounts (id, email) VALUES (?, ?)")) {
                for (int n = 200; n < 203; n++) {
                    insert.setInt(1, n);
                    insert.setString(2, n == 202 ? WORD + "-b200" : WORD + "-b" + n);
                    insert.addBatch();
                }
                return boxed(insert.executeBatch());
            }
        });
        check("batch", () -> {
            try (Statement statement = connection.createStatement()) {
                statement.addBatch("UPDATE orders SET email = 'kanarie-sb' WHERE email = 'kanarie-3'");
                statement.addBatch("DELETE FROM orders WHERE email = 'kanarie-4'");
                return boxed(statement.executeBatch());
            }
        });
        check("cursor", () -> {
            connection.setAutoCommit(false);
            try (PreparedStatement select = connection.prepareStatement("SELECT id, email, total FROM orders WHERE id < ? ORDER BY id")) {
                select.setFetchSize(17);
                select.setInt(1, 100);
                return answer(select, select.execute());
            } finally {
                connection.rollback();
                connection.setAutoCommit(true);
            }
        });
        check("cursor", () -> {
            connection.setAutoCommit(false);
            try (PreparedStatement one = connection.prepareStatement("SELECT id, email FROM orders ORDER BY id");
                 PreparedStatement two = connection.prepareStatement("SELECT email FROM orders WHERE email = ? ORDER BY id")) {
                one.setFetchSize(5);
                two.setFetchSize(3);
                two.setString(1, WORD + "-5");
                ResultSet first = one.executeQuery(), second = two.executeQuery();
                List<Object> rows = new ArrayList<>();
                for (int n = 0; n < 12; n++) {
                    if (first.next()) rows.add(List.of(first.getInt(1), first.getString(2)));
                    if (second.next()) rows.add(second.getString(1));
                }
                return rows;
            } finally {
                connection.rollback();
                connection.setAutoCommit(true);
            }
        });
        check("update", () -> {
            try (Statement statement = connection.createStatement(ResultSet.TYPE_SCROLL_SENSITIVE, ResultSet.CONCUR_READ_ONLY)) {
                ResultSet set = statement.executeQuery("SELECT id, email FROM orders WHERE email = 'kanarie-6' ORDER BY id");
                return List.of(set.last(), set.getRow(), set.getString(2));
            }
        });
        check("describe", () -> {
            try (PreparedStatement statement = connection.prepareStatement("SELECT id, email, total FROM orders WHERE email = ? AND id = ?")) {
                List<Object> all = new ArrayList<>();
                ParameterMetaData params = statement.getParameterMetaData();
                for (int n = 1; n <= params.getParameterCount(); n++) all.add(params.getParameterTypeName(n));
                ResultSetMetaData meta = statement.getMetaData();
                for (int n = 1; n <= meta.getColumnCount(); n++) all.add(List.of(meta.getColumnName(n), meta.getColumnTypeName(n), meta.getTableName(n), meta.isNullable(n)));
                return all;
            }
        });
        check("transaction", () -> {
            connection.setAutoCommit(false);
            List<Object> all = new ArrayList<>();
            try {
                ask(connection, "UPDATE orders SET total = 1 WHERE email = ?", WORD + "-5");
                Savepoint point = connection.setSavepoint();
                try {
                    ask(connection, SEALED ? "SELECT email || 'KANARIE' FROM orders" : "SELECT nothing");
                } catch (SQLException problem) {
                    all.add(refused(problem));
                }
                try {
                    ask(connection, "SELECT 1");
                } catch (SQLException problem) {
                    all.add(problem.getSQLState());
                }
                connection.rollback(point);
                connection.commit();
                all.add(ask(connection, "SELECT count(*), sum(total) FROM orders WHERE email = ?", WORD + "-5"));
                return all;
            } finally {
                connection.rollback();
                connection.setAutoCommit(true);
            }
        });
        check("copy", () -> {
            CopyManager copy = connection.unwrap(PGConnection.class).getCopyAPI();
            long count = copy.copyIn("COPY items (id, label) FROM STDIN", new StringReader("50\tfifty\n51\t\\N\n"));
            StringWriter out = new StringWriter();
            copy.copyOut("COPY (SELECT id, label FROM items WHERE id >= 50 ORDER BY id) TO STDOUT", out);
            return List.of(count, out.toString());
        });
        check("notify", () -> {
            ask(connection, "LISTEN channel");
            ask(connection, "NOTIFY channel, 'hello'");
            List<Object> all = new ArrayList<>();
            var heard = connection.unwrap(PGConnection.class).getNotifications(5000);
            for (var n : heard) all.add(List.of(n.getName(), n.getParameter()));
            return all;
        });
        check("cancel", () -> {
            try (Statement statement = connection.createStatement()) {
                new Timer(true).schedule(new TimerTask() {
                    public void run() {
                        try {
                            statement.cancel();
                        } catch (SQLException problem) {
                            throw new IllegalStateException(problem);
                        }
                    }
                }, 300);
                return answer(statement, statement.execute("SELECT pg_sleep(20)"));
            }
        });
        check("cancel", () -> ask(connection, "SELECT count(*) FROM accounts WHERE email = ?", ADA));
    }

    static void emit(String check, Object step, Object result) {
        Map<String, Object> line = new LinkedHashMap<>();
        line.put("check", check);
        line.put("step", step);
        line.put("result", result);
        byte[] bytes = (Json.text(line) + "\n").getBytes(StandardCharsets.UTF_8);
        System.out.write(bytes, 0, bytes.length);
    }

    /** As much of JSON as the steps need. */
    static class Json {
        private final String text;
        private int at;

        Json(String text) { this.text = text; }

        Object value() {
            skip();
            char c = text.charAt(at);
            if (c == '{') {
                Map<String, Object> map = new LinkedHashMap<>();
                for (at++; next() != '}'; comma()) {
                    String key = string();
                    next();
                    at++;
                    map.put(key, value());
                }
                at++;
                return map;
            }
            if (c == '[') {
                List<Object> list = new ArrayList<>();
                for (at++; next() != ']'; comma()) list.add(value());
                at++;
                return list;
            }
            if (c == '"') return string();
            int start = at;
            while (at < text.length() && "{}[],: \n".indexOf(text.charAt(at)) < 0) at++;
            String word = text.substring(start, at);
            return switch (word) {
                case "null" -> null;
                case "true", "false" -> Boolean.valueOf(word);
                default -> Long.valueOf(word);
            };
        }

        private void skip() { while (Character.isWhitespace(text.charAt(at))) at++; }

        private char next() { skip(); return text.charAt(at); }

        private void comma() { if (next() == ',') at++; }

        private String string() {
            skip();
            StringBuilder out = new StringBuilder();
            for (at++; text.charAt(at) != '"'; at++) {
                char c = text.charAt(at);
                if (c == '\\') {
                    c = text.charAt(++at);
                    switch (c) {
                        case 'n' -> c = '\n';
                        case 't' -> c = '\t';
                        case 'r' -> c = '\r';
                        case 'u' -> {
                            c = (char) Integer.parseInt(text.substring(at + 1, at + 5), 16);
                            at += 4;
                        }
                        default -> { }
                    }
                }
                out.append(c);
            }
            at++;
            return out.toString();
        }

        static String text(Object value) {
            if (value == null || value instanceof Number || value instanceof Boolean) return String.valueOf(value);
            StringBuilder out = new StringBuilder();
            if (value instanceof Map<?, ?> map) {
                StringJoiner all = new StringJoiner(",", "{", "}");
                map.forEach((k, v) -> all.add(text(k) + ":" + text(v)));
                return all.toString();
            }
            if (value instanceof List<?> list) {
                StringJoiner all = new StringJoiner(",", "[", "]");
                list.forEach((v) -> all.add(text(v)));
                return all.toString();
            }
            out.append('"');
            for (char c : value.toString().toCharArray()) {
                if (c == '"' || c == '\\') out.append('\\').append(c);
                else if (c < ' ') out.append(String.format("\\u%04x", (int) c));
                else out.append(c);
            }
            return out.append('"').toString();
        }
    }
}
