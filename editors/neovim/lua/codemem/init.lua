-- Starts `codemem lsp` and shows what it answers. Needs Neovim 0.7 or later and nothing else.
local M = {}

M.options = {
  cmd = { "codemem", "lsp" },
  -- Passed on as initializationOptions; docs/editors.md names them all.
  settings = {},
  -- What shows results: "auto" takes telescope, fzf-lua, snacks or mini.extra if one is there; a name; or false: quickfix.
  picker = "auto",
}

local client_id = nil
-- Answers that are being written, by the id that the command gave them: { buffer = number, text = string }.
local answers = {}

local function fail(message)
  vim.notify("codemem: " .. message, vim.log.levels.ERROR)
end

local function append(answer, text)
  answer.text = answer.text .. text
  if vim.api.nvim_buf_is_valid(answer.buffer) then
    vim.api.nvim_buf_set_lines(answer.buffer, 0, -1, false, vim.split(answer.text, "\n", { plain = true }))
  end
end

-- codemem/answer: a piece of an answer.
local function on_answer(_, piece)
  local answer = answers[piece.id]
  if answer and piece.kind == "text" then
    append(answer, piece.text)
  end
end

local function root_of(path)
  local upwards = vim.fn.escape(path, " ") .. ";"
  local folder = vim.fn.finddir(".git", upwards)
  if folder ~= "" then
    return vim.fn.fnamemodify(folder, ":p:h:h")
  end
  local file = vim.fn.findfile(".git", upwards) -- of a worktree
  return file ~= "" and vim.fn.fnamemodify(file, ":p:h") or vim.fn.getcwd()
end

local modern = vim.fn.has("nvim-0.11") == 1

local function start(config)
  if modern then
    return vim.lsp.start(config, { attach = false })
  end
  return vim.lsp.start_client(config)
end

local function client()
  local running = client_id and vim.lsp.get_client_by_id(client_id)
  if running then
    return running
  end
  if vim.fn.executable(M.options.cmd[1]) == 0 then
    return nil
  end
  local root = root_of(vim.fn.expand("%:p:h"))
  client_id = start({
    name = "codemem",
    cmd = M.options.cmd,
    root_dir = root,
    workspace_folders = { { uri = vim.uri_from_fname(root), name = vim.fn.fnamemodify(root, ":t") } },
    init_options = vim.tbl_extend("keep", { answers = "notification" }, M.options.settings),
    handlers = { ["codemem/answer"] = on_answer },
    on_exit = function()
      client_id = nil
    end,
  })
  return client_id and vim.lsp.get_client_by_id(client_id)
end

-- Sends a command once the server is ready; done(result) is called with what it returns.
local function execute(command, arguments, done)
  local running = client()
  if not running then
    return fail("`" .. M.options.cmd[1] .. "` was not found: install it, or set cmd in require('codemem').setup{}")
  end
  -- Every loaded file is attached, so that unsaved text counts.
  for _, buffer in ipairs(vim.api.nvim_list_bufs()) do
    if vim.api.nvim_buf_is_loaded(buffer) and vim.bo[buffer].buftype == "" and vim.api.nvim_buf_get_name(buffer) ~= "" then
      vim.lsp.buf_attach_client(buffer, running.id)
    end
  end
  vim.wait(10000, function()
    return running.initialized == true
  end, 20)
  local params = { command = command, arguments = arguments }
  local function on_reply(error, result)
    if error then
      return fail(error.message)
    end
    done(result)
  end
  local method = "workspace/executeCommand"
  local sent, request
  if modern then
    sent, request = running:request(method, params, on_reply, 0)
  else
    sent, request = running.request(method, params, on_reply, 0)
  end
  return sent
    and function()
      if modern then
        running:cancel_request(request)
      else
        running.cancel_request(request)
      end
    end
end

-- A scratch buffer for Markdown; `q` closes it, <C-c> stops what is being written into it.
local function open(title)
  vim.cmd("botright new")
  local buffer = vim.api.nvim_get_current_buf()
  vim.bo[buffer].buftype = "nofile"
  vim.bo[buffer].bufhidden = "wipe"
  vim.bo[buffer].swapfile = false
  vim.bo[buffer].filetype = "markdown"
  pcall(vim.api.nvim_buf_set_name, buffer, "codemem: " .. title) -- fails where the same was asked before
  -- A link shows as its text, path and lines; its target is for <CR>.
  vim.fn.matchadd("Conceal", [==[\](file://[^)]*)]==])
  vim.fn.matchadd("Conceal", [==[\[\ze[^]]*\](file://]==])
  vim.wo.conceallevel = 3
  vim.wo.concealcursor = "nc"
  vim.wo.linebreak = true
  vim.api.nvim_buf_set_lines(buffer, 0, -1, false, { "# " .. title, "" })
  vim.keymap.set("n", "q", "<cmd>close<cr>", { buffer = buffer, desc = "Close the answer" })
  return buffer
end

-- [label](file:///path#L12) below the cursor, or nil.
local function link_below_cursor()
  local line, column = vim.api.nvim_get_current_line(), vim.api.nvim_win_get_cursor(0)[2] + 1
  local start = 1
  while true do
    local first, last, uri, number = line:find("%[.-%]%((file://.-)#L(%d+)%)", start)
    if not first then
      return nil
    end
    if column >= first and column <= last or start == 1 and not line:find("%]%(file://", last) then
      return vim.uri_to_fname(uri), tonumber(number)
    end
    start = last + 1
  end
end

-- Opens the place of the link in the window above.
function M.follow()
  local path, number = link_below_cursor()
  if path then
    vim.cmd("wincmd p")
    vim.cmd("edit " .. vim.fn.fnameescape(path))
    vim.api.nvim_win_set_cursor(0, { math.min(number, vim.api.nvim_buf_line_count(0)), 0 })
  end
end

local function show(buffer, markdown)
  if vim.api.nvim_buf_is_valid(buffer) then
    vim.api.nvim_buf_set_lines(buffer, 0, -1, false, vim.split(markdown, "\n", { plain = true }))
    vim.keymap.set("n", "<cr>", M.follow, { buffer = buffer, desc = "Open the place" })
  end
end

local function answer_into_buffer(command, arguments, title)
  local id = tostring(vim.loop.hrtime())
  arguments.id = id
  local stop
  local buffer = open(title)
  answers[id] = { buffer = buffer, text = "# " .. title .. "\n\n" }
  stop = execute(command, { arguments }, function(result)
    answers[id] = nil
    show(buffer, result.markdown)
  end)
  if stop then
    vim.keymap.set("n", "<C-c>", stop, { buffer = buffer, desc = "Stop the answer" })
  end
end

local function into_quickfix(title, result)
  local items = {}
  for index, place in ipairs(result.result.results) do
    local location = result.locations[index]
    items[#items + 1] = {
      filename = vim.uri_to_fname(location.uri),
      lnum = place.start_line,
      end_lnum = place.end_line,
      text = type(place.symbol) == "string" and place.symbol or vim.split(place.text, "\n")[1],
    }
  end
  vim.fn.setqflist({}, " ", { title = "codemem: " .. title, items = items })
  if #items == 0 then
    return vim.notify("codemem: nothing was found")
  end
  if not require("codemem.picker").show(M.options.picker) then
    vim.cmd("botright copen")
  end
end

-- The selected lines, or the cursor's, as LSP counts; whole lines need no encoding.
local function place(call)
  local first, last = call.line1, call.line2
  if call.range == 0 then
    first = vim.api.nvim_win_get_cursor(0)[1]
    last = first
  end
  local width = #(vim.api.nvim_buf_get_lines(0, last - 1, last, false)[1] or "")
  return {
    uri = vim.uri_from_bufnr(0),
    range = {
      start = { line = first - 1, character = 0 },
      ["end"] = { line = last - 1, character = call.range == 0 and 0 or width },
    },
  }
end

function M.run(verb, text, call)
  if verb == "ask" then
    local arguments = call.range > 0 and place(call) or {}
    arguments.text = text
    answer_into_buffer(call.range > 0 and "codemem.askSelection" or "codemem.ask", arguments, text)
  elseif verb == "explain" then
    answer_into_buffer("codemem.explain", place(call), "Explain")
  elseif verb == "find" then
    execute("codemem.find", { { text = text } }, function(result)
      into_quickfix(text, result)
    end)
  elseif verb == "related" then
    execute("codemem.related", { place(call) }, function(result)
      into_quickfix("related", result)
    end)
  elseif verb == "reindex" then
    execute("codemem.reindex", {}, function(result)
      vim.notify(result.markdown)
    end)
  elseif verb == "status" then
    execute("codemem.status", {}, function(result)
      vim.notify(result.markdown)
    end)
  else
    fail("there is no :Codemem " .. tostring(verb))
  end
end

-- Optional: only to change `cmd` or `settings`.
function M.setup(options)
  M.options = vim.tbl_deep_extend("force", M.options, options or {})
end

return M
