#!/usr/bin/env bash
# Times a page with a thread of about 500 comments, and searches for ordinary words: one request at a time, then four.
#
#   benches/serve/pages_and_search.sh [ITEMS] [DATABASE]    # 1000000 items by default; an existing database is used as it is
set -euo pipefail
database=${2:+$(realpath "$2")}
source "$(dirname "$0")/lib.sh"
install wrk wrk
install sqlite3 sqlite3
if [ -z "$database" ]; then
    database=$folder/hn.db
    mirror "$database" "${1:-1000000}" --search-index all
fi
start_serve serve --database "$database"

thread=$(sqlite3 -readonly "$database" "SELECT id FROM items WHERE type = 'story' AND descendants BETWEEN 480 AND 520 ORDER BY id DESC LIMIT 1")
# The most frequent words of titles, and what they are searched for.
cat >words.sql <<SQL
WITH RECURSIVE words(word, rest) AS (
    SELECT NULL, lower(title) || ' ' FROM (SELECT title FROM items WHERE type = 'story' ORDER BY id DESC LIMIT 5000)
    UNION ALL SELECT substr(rest, 1, instr(rest, ' ') - 1), substr(rest, instr(rest, ' ') + 1) FROM words WHERE rest <> ''
)
SELECT word FROM words WHERE word GLOB '[a-z]*' AND NOT word GLOB '*[^a-z]*' AND length(word) > 2 GROUP BY word ORDER BY count(*) DESC LIMIT 60
SQL
words=$(sqlite3 -readonly "$database" <words.sql | sed 's/.*/"&",/')
# searches PATH QUERY: a script for wrk. QUERY is an expression of Lua.
searches() {
    cat <<LUA
math.randomseed(1)
words = { $words }
function word() return words[math.random(#words)] end
request = function() return wrk.format("GET", "$1" .. $2) end
LUA
}
two='word() .. "+" .. word()'
searches "/api/v1/search?query=" 'word()' >"one word.lua"
searches "/api/v1/search?query=" "$two" >"two words.lua"
searches "/api/v1/search?tags=story&query=" 'word()' >"one word, stories.lua"
searches "/api/v1/search_by_date?tags=story&query=" 'word()' >"one word, stories by date.lua"
for connections in 1 4; do
    if [ -n "$thread" ]; then
        echo "thread of about 500 comments, $connections at once: $(measure "$address/item?id=$thread" $connections)"
    fi
    for kind in "one word" "two words" "one word, stories" "one word, stories by date"; do
        echo "search ($kind), $connections at once: $(measure "$address" $connections "$kind.lua")"
    done
done
