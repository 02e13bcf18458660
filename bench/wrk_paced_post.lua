-- Pauses of random length, WRK_PAUSE_MS on average, before each request of a connection.
wrk.method = "POST"
local average = tonumber(os.getenv("WRK_PAUSE_MS"))

function delay()
   return math.random(0, math.floor(2 * average))
end
