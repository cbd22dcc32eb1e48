-- For wrk: one request after another, each with the next of the Authorization values in a file, over and over.
-- With a management key as third argument, each asks what the next token opens.
-- The last line printed is a JSON object of what happened.
local requests, next_request = {}, 0

function init(args)
    for value in io.lines(args[1]) do
        if args[3] then
            local headers = {
                ["Authorization"] = "Bearer " .. args[3],
                ["Content-Type"] = "application/x-www-form-urlencoded",
            }
            requests[#requests + 1] = wrk.format("POST", nil, headers, "token=" .. value:gsub("Bearer ", ""))
        else
            requests[#requests + 1] = wrk.format("GET", nil, { ["Authorization"] = value, ["Version"] = args[2] })
        end
    end
end

function request()
    next_request = next_request % #requests + 1
    return requests[next_request]
end

function done(summary, _, _)
    local errors = summary.errors
    print(string.format(
        '{"requests": %d, "seconds": %f, "errors": {"connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d}}',
        summary.requests,
        summary.duration / 1e6,
        errors.connect,
        errors.read,
        errors.write,
        errors.status,
        errors.timeout
    ))
end
