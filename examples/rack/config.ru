run ->(_env) { [200, { "content-type" => "application/json" }, [%({"orders": 7}\n)]] }
