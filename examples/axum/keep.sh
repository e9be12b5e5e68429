# Starts the service again whenever it ends.
trap 'kill "$service"; exit' TERM
while :; do
    axum-shop &
    service=$!
    wait "$service"
done
