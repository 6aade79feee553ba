-- Run by test_neovim.py inside a real, headless Neovim. Prints one JSON object.
local seen = { errors = {} }
vim.notify = function(message, level)
  if level == vim.log.levels.ERROR then
    table.insert(seen.errors, message)
  else
    seen.said = message
  end
end

local function wait_for(what, condition)
  if not vim.wait(60000, condition, 20) then
    table.insert(seen.errors, "timed out: " .. what)
  end
end

local function quickfix_named(title)
  return function()
    return vim.fn.getqflist({ title = 1 }).title == "codemem: " .. title
  end
end

local function check()
  vim.cmd("edit src/cache.py")
  vim.api.nvim_buf_set_lines(0, 0, 0, false, { "def narwhal_tusks():", "    return 1", "" })
  vim.cmd("Codemem find narwhal_tusks")
  wait_for("find", quickfix_named("narwhal_tusks"))
  local item = vim.fn.getqflist()[1]
  seen.found = { file = vim.fn.bufname(item.bufnr), line = item.lnum }
  vim.cmd("cclose")

  -- A picker that is there takes the place of the quickfix window.
  package.preload["telescope.builtin"] = function()
    return { quickfix = function() seen.picked = #vim.fn.getqflist() end }
  end
  vim.cmd("Codemem find narwhal_tusks")
  wait_for("picker", function()
    return seen.picked ~= nil
  end)
  seen.windows = #vim.api.nvim_list_wins()
  require("codemem").setup({ picker = false })

  vim.cmd("buffer src/cache.py")
  vim.api.nvim_win_set_cursor(0, { 8, 0 })
  vim.cmd("Codemem related")
  wait_for("related", quickfix_named("related"))
  seen.related = #vim.fn.getqflist()
  vim.cmd("cclose")

  vim.cmd("Codemem ask Where are entries evicted?")
  local buffer = vim.api.nvim_get_current_buf()
  wait_for("ask", function()
    return vim.fn.maparg("<cr>", "n") ~= ""
  end)
  seen.answer = table.concat(vim.api.nvim_buf_get_lines(buffer, 0, -1, false), "\n")
  seen.filetype = vim.bo[buffer].filetype
  -- The tiny model cites nothing, so the link to follow is written here.
  local link = "- [src/retry.py:5-6](file://" .. vim.fn.getcwd() .. "/src/retry.py#L5)"
  vim.api.nvim_buf_set_lines(buffer, 0, -1, false, { link })
  vim.api.nvim_win_set_cursor(0, { 1, 4 })
  require("codemem").follow()
  seen.followed = { vim.fn.expand("%:t"), vim.api.nvim_win_get_cursor(0)[1] }

  vim.cmd("Codemem dance")
end

local fine, problem = pcall(check)
if not fine then
  table.insert(seen.errors, problem)
end
io.stdout:write(vim.json.encode(seen) .. "\n")
vim.cmd("qall!")
