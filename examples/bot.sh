#!/bin/sh
# A bot with curl alone: answers !time and !roll. sh examples/bot.sh [server] [name] [room]

url=${1:-http://127.0.0.1:3000} name=${2:-Shell} room=${3:-lobby}
json='content-type: application/json'
# A guest's name is taken for as long as its session: keep TOKEN for the next start.
[ "$TOKEN" ] || TOKEN=$(curl -s "$url/api/session" -H "$json" -d "{\"name\":\"$name\"}" |
  sed -n 's/.*"token":"\([^"]*\)".*/\1/p')
auth="authorization: Bearer $TOKEN"

# With the id of its question an answer is said once, however often it is tried.
answer() {
  id=${1#*'"id":"'} seq=${1#*'"seq":'}
  curl -s -o /dev/null --retry 9 --retry-all-errors "$url/api/rooms/$room/messages" -H "$auth" \
    -H "$json" -d "{\"id\":\"${id%%\"*}\",\"replyTo\":${seq%%,*},\"body\":\"$2\"}"
}

# A stream that ends is asked for again, from the last event on.
while [ "$last" != over ]; do
  last=$(curl -sN "$url/api/rooms/$room/events" -H "$auth" -H "last-event-id: $last" \
    -w 'status: %{http_code}\n' | {
    while read -r line; do
      case $line in
        'id: '*) last=${line#id: } ;;
        *'"kind":"message"'*'"body":"!time"'*) answer "$line" "$(date -u +%FT%TZ)" ;;
        *'"kind":"message"'*'"body":"!roll"'*) answer "$line" $(($(date +%s) % 6 + 1)) ;;
        'status: 204' | 'status: 40'[13]) last=over ;;
      esac
    done
    echo "$last"
  })
  sleep 2
done
