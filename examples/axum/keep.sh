# Starts the service again whenever it ends. HUP: a new one beside the old, which finishes what it has begun.
trap 'kill "$service"; exit' TERM
trap 'kill "$service"' HUP
while :; do
    axum-shop &
    service=$!
    wait "$service"
done
