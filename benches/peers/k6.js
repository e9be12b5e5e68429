// What peers.py has k6 do: a connection for each request, in a closed or an open loop.
import http from "k6/http";

const { URL, TIMEOUT, AT_A_TIME, REQUESTS, RATE, SECONDS } = __ENV;
const closed = { executor: "shared-iterations", vus: Number(AT_A_TIME), iterations: Number(REQUESTS), maxDuration: "10m" };
const open = {
  executor: "constant-arrival-rate",
  rate: Number(RATE),
  timeUnit: "1s",
  duration: `${SECONDS}s`,
  preAllocatedVUs: 50,
};

export const options = { noConnectionReuse: true, scenarios: { load: RATE ? open : closed } };

export default function () {
  http.get(URL, { timeout: TIMEOUT });
}
