-- Asks for the items of the file named by ITEM_IDS (one id a line), over and over.

local requests = {}
local at = 0

function init(args)
  local prefix = os.getenv("ITEM_PREFIX")
  for id in io.lines(os.getenv("ITEM_IDS")) do
    requests[#requests + 1] = wrk.format("GET", prefix .. id .. ".json")
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end
